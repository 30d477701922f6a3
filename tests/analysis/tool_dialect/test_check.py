import pytest

from ringfence.analysis.tool_dialect.check import objections
from ringfence.domain.tool_dialect import ToolDialect

_GOOD = {
    "type": "object",
    "properties": {
        "q": {"type": "string", "description": "Words."},
        "tags": {"type": "array", "items": {"type": "string"}},
        "n": {"type": "integer", "minimum": 1, "maximum": 100},
        "kind": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["q"],
}
_STRICT = {
    "type": "object",
    "properties": {"q": {"type": "string"}},
    "required": ["q"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("dialect", list(ToolDialect))
def test_a_plain_tool_is_taken_by_everybody(dialect: ToolDialect) -> None:
    strict = {ToolDialect.OPENAI_STRICT, ToolDialect.ANTHROPIC_STRICT}
    assert objections(dialect, "search_it", _STRICT if dialect in strict else _GOOD) == ()


@pytest.mark.parametrize("dialect", list(ToolDialect))
@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "größe"])
def test_no_provider_takes_such_a_name(dialect: ToolDialect, name: str) -> None:
    assert [each.rule for each in objections(dialect, name, _STRICT)][:1] == ["name"]


@pytest.mark.parametrize(
    ("dialect", "name", "taken"),
    [
        (ToolDialect.OPENAI, "x" * 64, True),
        (ToolDialect.OPENAI, "x" * 65, False),
        (ToolDialect.ANTHROPIC, "x" * 65, True),
        (ToolDialect.OPENAI, "a.b", False),
        (ToolDialect.GEMINI, "a.b:c", True),
        (ToolDialect.GEMINI, "1a", False),
        (ToolDialect.OPENAI, "1a", True),
        (ToolDialect.BEDROCK, "x" * 65, False),
    ],
)
def test_names_are_judged_by_each_provider(dialect: ToolDialect, name: str, *, taken: bool) -> None:
    assert (objections(dialect, name, _GOOD) == ()) is taken


def test_a_function_without_parameters_is_only_gemini_s() -> None:
    assert objections(ToolDialect.GEMINI, "x", None) == ()
    assert [each.rule for each in objections(ToolDialect.OPENAI, "x", None)] == ["root_type"]


def test_a_schema_of_the_wrong_kind_is_refused_and_not_a_crash() -> None:
    schemas: list[object] = [[], "object", 7, True]
    for schema in schemas:
        for dialect in ToolDialect:
            assert objections(dialect, "x", schema)
