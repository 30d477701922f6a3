import json

import pytest

from ringfence.decisions.policy.shape import EMPTY, Kind, Shape, cedar_type, shape_of


def _member(schema: object, *, required: bool = False) -> object:
    whole = {
        "properties": {"x": schema},
        "required": ["x"] if required else [],
        "$defs": {"N": {"type": "integer"}},
    }
    found = cedar_type(shape_of(json.dumps(whole).encode()))
    assert found is not None
    return found["attributes"].get("x")


_PYDANTIC = {"type": "string", "pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"}
_DECIMAL = {"type": "Extension", "name": "decimal"}


@pytest.mark.parametrize(
    ("schema", "held"),
    [
        ({"type": "string"}, {"type": "String"}),
        ({"enum": ["a", "b"]}, {"type": "String"}),
        ({"const": 3}, {"type": "Long"}),
        ({"type": "boolean"}, {"type": "Boolean"}),
        ({"type": "integer"}, {"type": "Long"}),
        ({"type": "number"}, _DECIMAL),
        ({"type": ["integer", "number"]}, _DECIMAL),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, _DECIMAL),
        ({"anyOf": [{"type": "number"}, _PYDANTIC]}, _DECIMAL),
        ({"anyOf": [{"type": "number"}, _PYDANTIC, {"type": "null"}]}, _DECIMAL),
        (
            {"type": "array", "items": {"type": "string"}},
            {"type": "Set", "element": {"type": "String"}},
        ),
        ({"$ref": "#/$defs/N"}, {"type": "Long"}),
        ({"allOf": [{"$ref": "#/$defs/N"}], "description": "n"}, {"type": "Long"}),
    ],
)
def test_a_schema_has_one_type_in_cedar(schema: object, held: dict[str, object]) -> None:
    assert _member(schema) == {**held, "required": False}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        {"type": ["string", "integer"]},
        {"anyOf": [{"type": "string"}, {"type": "number"}]},
        {"type": "array"},
        {"enum": ["a", 1]},
        {"$ref": "https://elsewhere.example/schema"},
        {"$ref": "#/properties/x"},
        {"type": "unheard-of"},
        {"anyOf": []},
        {"anyOf": [{"type": "boolean"}, _PYDANTIC]},
        {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^[a-z]+$"}]},
        {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^[a-z]\\\\d$"}]},
    ],
)
def test_what_has_no_single_type_cannot_be_read(schema: object) -> None:
    assert _member(schema) is None


@pytest.mark.parametrize(
    ("schema", "required", "certain"),
    [
        ({"type": "integer"}, True, True),
        ({"type": "integer"}, False, False),
        ({"type": "integer", "default": 5}, False, True),
        ({"type": "integer", "default": None}, False, False),
        ({"type": ["integer", "null"]}, True, False),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, True, False),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 5}, False, False),
    ],
)
def test_only_what_is_always_there_is_certain(
    schema: object, *, required: bool, certain: bool
) -> None:
    assert _member(schema, required=required) == {"type": "Long", "required": certain}


def test_objects_are_read_into() -> None:
    inner = {"type": "object", "properties": {"y": {"type": "string"}}, "required": ["y"]}
    assert _member(inner) == {
        "type": "Record",
        "attributes": {"y": {"type": "String", "required": True}},
        "required": False,
    }


@pytest.mark.parametrize("schema", [b"", b"{", b"[]", b"3", b'{"type": "string"}', b"[" * 100_000])
def test_what_is_no_schema_of_an_object_shows_nothing(schema: bytes) -> None:
    assert shape_of(schema) == EMPTY


def test_a_name_that_cedar_reads_as_an_escape_hides_its_object() -> None:
    schema = {"properties": {"__extn": {"type": "string"}, "x": {"type": "string"}}}
    assert shape_of(json.dumps(schema).encode()) == EMPTY


def test_references_that_unfold_without_end_come_to_an_end() -> None:
    properties = {name: {"$ref": "#/$defs/all"} for name in "abcdefgh"}
    schema = {"properties": properties, "$defs": {"all": {"properties": properties}}}
    shape = shape_of(json.dumps(schema).encode())
    assert shape.kind is Kind.RECORD


def test_members_that_disagree_are_opaque() -> None:
    schema = {
        "allOf": [
            {"properties": {"x": {"type": "string"}}},
            {"properties": {"x": {"type": "integer"}}},
        ]
    }
    shape = shape_of(json.dumps(schema).encode())
    assert shape.members["x"].shape == Shape(kind=Kind.OPAQUE)
