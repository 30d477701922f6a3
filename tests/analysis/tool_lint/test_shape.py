import pytest
from tests.tools import tool

from ringfence.analysis.tool_lint.shape import annotations, outputs, parameters


def _taking(**properties: object) -> list[tuple[str, str]]:
    schema = {"type": "object", "properties": properties}
    found = parameters(tool("find", inputSchema=schema))
    return [(each.rule, each.place.rpartition(".")[2]) for each in found]


_GOOD = {"type": "string", "description": "Words to look for, for example `broken`."}


def test_a_parameter_that_explains_itself_is_left_alone() -> None:
    assert _taking(q=_GOOD) == []


def test_parameters_without_words_or_types_are_named() -> None:
    assert _taking(a={"type": "string"}, b={"description": " "}) == [
        ("parameter_undescribed", "a"),
        ("parameter_undescribed", "b"),
        ("parameter_untyped", "b"),
    ]
    assert _taking(x=True) == [("parameter_undescribed", "x"), ("parameter_untyped", "x")]


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("One of: open, closed, all.", '["open", "closed", "all"]'),
        ("Must be 'asc' or 'desc'.", '["asc", "desc"]'),
        ("Allowed values: low | high", '["low", "high"]'),
        ("Either read or write access.", '["read", "write"]'),
    ],
)
def test_free_text_where_the_choices_are_known_is_told_with_the_enum(
    text: str, choices: str
) -> None:
    schema = {"type": "object", "properties": {"s": {"type": "string", "description": text}}}
    [found] = parameters(tool("find", inputSchema=schema))
    assert found.rule == "enum_known"
    assert choices in found.fix


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "description": "One of: a, b.", "enum": ["a", "b"]},
        {"type": "string", "description": "The name of one of the users."},
        {"type": "integer", "description": "One of: 1, 2"},
    ],
)
def test_other_texts_are_no_list_of_choices(schema: dict[str, object]) -> None:
    assert _taking(s=schema) == []


def test_too_many_and_too_deep_parameters_are_told() -> None:
    assert _taking(**{f"p{at}": _GOOD for at in range(13)}) == [("many_parameters", "inputSchema")]
    deep: dict[str, object] = {"type": "string"}
    for _ in range(4):
        deep = {"type": "object", "properties": {"x": deep}}
    found = parameters(tool("find", inputSchema=deep))
    assert "deep_schema" in [each.rule for each in found]


def test_annotations_are_wanted_and_must_fit_the_name() -> None:
    assert [each.rule for each in annotations(tool("get_it"))] == ["no_annotations"]
    assert list(annotations(tool("get_it", annotations={"readOnlyHint": True}))) == []
    doubtful = tool("delete_it", annotations={"readOnlyHint": True})
    assert [each.rule for each in annotations(doubtful)] == ["annotation_doubtful"]


def test_what_lists_things_must_have_an_end() -> None:
    bounded = {"type": "object", "properties": {"Page-Size": {}}}
    out = {"type": "object"}
    assert [each.rule for each in outputs(tool("list_users"))] == [
        "unbounded_output",
        "no_output_schema",
    ]
    assert list(outputs(tool("list_users", inputSchema=bounded, outputSchema=out))) == []
    assert list(outputs(tool("send_mail"))) == []
    assert [each.rule for each in outputs(tool("listen", outputSchema=out))] == []
