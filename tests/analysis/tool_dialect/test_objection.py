from ringfence.analysis.tool_dialect.objection import DEEPEST, Objection, walk


def test_every_schema_within_a_schema_is_met_with_its_place() -> None:
    schema = {
        "properties": {"a": {"items": {"anyOf": [{}, {"not": {}}]}}, "b": True, "c": 7},
        "$defs": {"d": {"prefixItems": [{}], "additionalProperties": {}}},
        "items": [{}],
        "default": {"properties": {"x": {}}},
    }
    assert [path for path, _ in walk(schema)] == [
        (),
        ("items", 0),
        ("properties", "a"),
        ("properties", "a", "items"),
        ("properties", "a", "items", "anyOf", 0),
        ("properties", "a", "items", "anyOf", 1),
        ("properties", "a", "items", "anyOf", 1, "not"),
        ("$defs", "d"),
        ("$defs", "d", "additionalProperties"),
        ("$defs", "d", "prefixItems", 0),
    ]


def test_what_is_nested_too_deeply_is_not_walked() -> None:
    schema: dict[str, object] = {}
    for _ in range(DEEPEST * 3):
        schema = {"items": schema}
    assert len(list(walk(schema))) == DEEPEST + 1


def test_a_place_is_written_as_people_read_it() -> None:
    one = Objection(rule="x", path=("properties", "a", "anyOf", 0), what="", help="")
    assert one.place == "properties.a.anyOf.0"
    assert Objection(rule="x", path=(), what="", help="").place == "schema"
