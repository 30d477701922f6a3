import json
from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from ringfence.analysis.tool_dialect.check import objections
from ringfence.analysis.tool_dialect.repair import repaired
from ringfence.domain.tool_dialect import ToolDialect as D


def test_a_tool_that_is_taken_is_left_as_it_is() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    mended = repaired(D.OPENAI, "t", schema)
    assert mended is not None
    assert (mended.schema, mended.told, mended.done) == (schema, (), ())


def test_alternatives_are_merged_and_told() -> None:
    schema = {
        "type": "object",
        "properties": {"note": {"type": "string"}},
        "required": ["note"],
        "oneOf": [
            {"properties": {"a": {"type": "string"}, "z": {}}, "required": ["note", "a"]},
            {"properties": {"a": {"type": "integer"}, "b": {}}, "required": ["note", "b"]},
        ],
    }
    before = deepcopy(schema)
    mended = repaired(D.ANTHROPIC, "t", schema)
    assert schema == before
    assert mended is not None
    assert mended.schema == {
        "type": "object",
        "properties": {
            "note": {"type": "string"},
            "a": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "z": {},
            "b": {},
        },
        "required": ["note"],
    }
    assert mended.told == (
        (
            "Give exactly one of these sets of arguments: `note` and `a` (optionally `z`); "
            "or `note` and `b` (optionally `a`)."
        ),
    )


def test_what_all_alternatives_demand_stays_demanded() -> None:
    schema = {"allOf": [{"required": ["a"]}, {"properties": {"b": {}}, "required": ["b"]}]}
    mended = repaired(D.ANTHROPIC, "t", schema)
    assert mended is not None
    assert mended.schema == {"type": "object", "properties": {"b": {}}, "required": ["a", "b"]}
    assert mended.told == ()


def test_a_constraint_is_told_where_it_stood() -> None:
    schema = {
        "type": "object",
        "properties": {"x": {"type": "string", "description": "A name.", "pattern": r"\p{L}+"}},
    }
    mended = repaired(D.OPENAI, "t", schema)
    assert mended is not None
    assert mended.schema == {
        "type": "object",
        "properties": {
            "x": {
                "type": "string",
                "description": "A name. Must satisfy the JSON Schema "
                + json.dumps({"pattern": r"\p{L}+"})
                + ".",
            }
        },
    }


def test_bounds_of_draft_4_keep_their_meaning() -> None:
    def bound(**schema: object) -> object:
        mended = repaired(D.MISTRAL, "t", {"type": "object", "properties": {"x": schema}})
        assert mended is not None
        assert isinstance(mended.schema, dict)
        return mended.schema["properties"]["x"]

    assert bound(minimum=0, exclusiveMinimum=True) == {"exclusiveMinimum": 0}
    assert bound(maximum=9, exclusiveMaximum=False) == {"maximum": 9}
    assert bound(exclusiveMinimum=True) == {}


def test_several_repairs_of_one_tool_are_all_carried_out() -> None:
    schema = {
        "properties": {
            "a": {"type": "array", "items": [{"type": "array"}]},
            "b": {"type": "string", "required": True},
        }
    }
    mended = repaired(D.OPENAI, "t", schema)
    assert mended is not None
    assert mended.schema == {
        "properties": {
            "a": {
                "type": "array",
                "prefixItems": [{"type": "array", "items": {}}],
                "items": {},
            },
            "b": {"type": "string"},
        },
        "required": ["b"],
        "type": "object",
    }
    assert len(mended.done) == 4


def test_gemini_s_own_spelling_is_not_json_schema_s() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {
            "x": {"type": "STRING", "nullable": True, "format": "uri"},
            "y": {"const": 1},
        },
    }
    mended = repaired(D.GEMINI, "t", schema)
    assert mended is not None
    assert mended.dialect is D.GEMINI_JSON
    assert mended.schema == {
        "type": "object",
        "properties": {"x": {"type": ["string", "null"], "format": "uri"}, "y": {"const": 1}},
    }


_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["object", "array", "string", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "properties",
                    "items",
                    "required",
                    "anyOf",
                    "oneOf",
                    "allOf",
                    "enum",
                    "pattern",
                    "minimum",
                    "exclusiveMinimum",
                    "additionalProperties",
                    "a",
                    "not",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(_VALUE, st.sampled_from(list(D)))
def test_whatever_comes_out_is_taken_and_nothing_crashes(schema: object, dialect: D) -> None:
    before = deepcopy(schema)
    mended = repaired(dialect, "t", schema)
    assert schema == before
    if mended is not None:
        assert objections(mended.dialect, "t", mended.schema) == ()
