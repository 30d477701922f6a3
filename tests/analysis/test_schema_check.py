import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.analysis.schema_check import PROBLEMS_MAX, SchemaCheck

ORDER = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "status": {"enum": ["open", "closed"]},
        "lines": {"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 2},
        "mail": {"type": "string", "pattern": "^[^@]+@[^@]+$"},
        "kind": {"const": "order"},
    },
    "required": ["id"],
    "additionalProperties": False,
}


def told(schema: object, value: object) -> list[str]:
    check = SchemaCheck(json.dumps(schema).encode())
    assert not check.unusable
    return [str(each) for each in check.problems(json.dumps(value).encode())]


def test_what_is_allowed_has_no_problems() -> None:
    assert told(ORDER, {"id": 7, "status": "open", "lines": ["a"], "mail": "a@b"}) == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "`id` is missing and must be given"),
        ({"id": 0}, "`id` was given 0, and must be at least 1"),
        ({"id": "7"}, '`id` was given "7", and must be of type integer'),
        (
            {"id": 1, "status": "shut"},
            '`status` was given "shut", and must be one of "open", "closed"',
        ),
        ({"id": 1, "amount": 5}, "the whole has no field `amount`; leave it out"),
        (
            {"id": 1, "lines": ["abcdef"]},
            '`lines[0]` was given "abcdef", and must have characters, at most 5',
        ),
        ({"id": 1, "lines": [1]}, "`lines[0]` was given 1, and must be of type string"),
        ({"id": 1, "mail": "nobody"}, '`mail` was given "nobody", and must match `^[^@]+@[^@]+$`'),
        ({"id": 1, "kind": "bill"}, '`kind` was given "bill", and must be "order"'),
    ],
)
def test_a_problem_says_which_field_what_was_given_and_what_is_allowed(
    value: object, words: str
) -> None:
    assert told(ORDER, value) == [words]


def test_only_the_first_problems_are_told() -> None:
    schema = {"items": {"type": "string"}}
    assert len(told(schema, list(range(50)))) == PROBLEMS_MAX


def test_long_and_odd_values_are_cut_to_one_printable_line() -> None:
    [words] = told({"type": "integer"}, "a\u202e`\n" + "x" * 10_000)
    assert len(words) < 200
    assert words.isprintable()
    assert words.count("`") == 0


@pytest.mark.parametrize(
    "schema",
    [
        b'{"$ref": "http://127.0.0.1:9/schema.json"}',
        b'{"$ref": "file:///etc/passwd"}',
        b'{"properties": {"a": {"$ref": "#/definitions/none"}}}',
        b'{"type": "any"}',
        b'{"pattern": "(a+"}',
        b'{"$schema": "http://json-schema.org/draft-03/schema#"}',
        b"nonsense",
        b"[" * 5_000 + b"]" * 5_000,
    ],
)
def test_a_schema_that_cannot_be_used_says_why_and_judges_nothing(schema: bytes) -> None:
    check = SchemaCheck(schema)
    assert check.unusable
    assert "\n" not in check.unusable
    assert check.problems(b'{"a": 1}') == ()


def test_what_cannot_be_read_is_a_problem_even_then() -> None:
    for schema in (b"{}", b"nonsense"):
        [problem] = SchemaCheck(schema).problems(b"{")
        assert "no JSON" in str(problem)
        [problem] = SchemaCheck(schema).problems(b'{"a":' * 50_000 + b"1" + b"}" * 50_000)
        assert "no JSON" in str(problem)


def test_a_pattern_that_looks_around_is_bounded() -> None:
    schema = {"pattern": "^(?=a)(a|a)*$"}
    assert told(schema, "aaa") == []
    assert told(schema, "a" * 40 + "b") != []


def test_each_draft_is_read_in_its_own_way() -> None:
    old = {"$schema": "http://json-schema.org/draft-04/schema#", "maximum": 5}
    assert told(old | {"exclusiveMaximum": True}, 5) != []
    assert told({"exclusiveMaximum": 5}, 5) != []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=10,
    )
)  # fmt: skip
def test_any_value_is_judged_without_an_error(value: object) -> None:
    for problem in told(ORDER, value):
        assert problem
    assert told({}, value) == []


def test_the_library_is_loaded_for_the_first_schema_alone() -> None:
    source = (
        "import sys; import ringfence.analysis.schema_check as c; "
        "assert 'jsonschema_rs' not in sys.modules; c.SchemaCheck(b'{}'); "
        "assert 'jsonschema_rs' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", source], check=True, timeout=30)  # noqa: S603 (our own)


@pytest.mark.parametrize("levels", [200, 400, 900, 3_000, 50_000])
def test_what_is_nested_too_deeply_is_a_problem_and_no_failure(levels: int) -> None:
    check = SchemaCheck(b'{"type":"object","properties":{"id":{"type":"integer"}}}')
    (problem,) = check.problems(b'{"id":' * levels + b"1" + b"}" * levels)
    assert problem.path in {"", "id"}
