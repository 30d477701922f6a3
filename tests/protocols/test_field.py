import pytest

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Feature
from ringfence.protocols import strict_json
from ringfence.protocols.field import Field, FieldTable, Findings, Meaning, is_off, only

TABLE = FieldTable(
    [
        Field("tier", Meaning.PRICED, "a rate of its own", only("default", 0)),
        Field("cache.id", Meaning.OBJECT, "names an object"),
        Field("cache.ttl", Meaning.PRICED, "costs more", only("30m")),
        Field("free", Meaning.FREE, "nothing"),
        Field("ids", Meaning.CLIENT_ID, "names the run"),
    ]
)


def _collect(body: bytes) -> Findings:
    findings = Findings()
    TABLE.collect(body, strict_json.spans(body), findings)
    return findings


def test_a_member_of_an_object_is_found_by_its_dotted_name() -> None:
    found = _collect(b'{"cache":{"id":"x","ttl":"12h","more":1}}')
    assert found.objects == ["x"]
    assert found.outside == [Feature("cache.id", "x")]
    assert found.priced == [Feature("cache.ttl", "12h")]


def test_harmless_values_and_null_are_not_noted() -> None:
    for body in (b'{"tier":"default"}', b'{"tier":null}', b'{"tier":0}', b'{"cache":[1]}'):
        assert _collect(body).priced == []
    assert _collect(b'{"tier":false}').priced == [Feature("tier")]


def test_objects_are_named_by_their_id_each() -> None:
    findings = Findings()
    findings.add(Meaning.OBJECT, "x", ["a", {"id": "b"}, 3, ["c"]])
    assert findings.objects == ["a", "b"]
    assert findings.outside == [Feature("x", "a"), Feature("x", "b"), Feature("x"), Feature("x")]


def test_ids_of_clients_are_short_texts() -> None:
    found = _collect(b'{"ids":{"a":"1","b":2,"c":{"d":"4"}}}')
    assert found.client_ids == [("ids.a", "1")]
    assert _collect(b'{"ids":"' + b"x" * 600 + b'"}').client_ids == []


def test_only_a_short_text_is_shown() -> None:
    assert _collect(b'{"tier":"' + b"x" * 300 + b'"}').priced == [Feature("tier")]
    assert _collect(b'{"tier":{"a":1}}').priced == [Feature("tier")]


def test_what_is_found_is_in_the_order_of_the_body() -> None:
    names = [name for name, _ in _collect(b'{"ids":{"b":"1","a":"2"}}').client_ids]
    assert names == ["ids.b", "ids.a"]


def test_a_governed_value_is_read_strictly() -> None:
    with pytest.raises(PeerError, match="duplicate name `id`"):
        _collect(b'{"cache":{"id":"x","id":"y"}}')


def test_a_known_field_in_another_case_is_refused() -> None:
    with pytest.raises(PeerError, match="`Tier` is `tier` in another case"):
        TABLE.refuse_lookalikes({"tier": (0, 1), "Tier": (2, 3)})
    TABLE.refuse_lookalikes({"tier": (0, 1), "tier2": (2, 3), "Other": (4, 5)})


def test_findings_are_merged_whole() -> None:
    one, other = Findings(), Findings()
    for meaning in (Meaning.PRICED, Meaning.OBJECT, Meaning.HOSTED, Meaning.CLIENT_ID):
        other.add(meaning, "x", "y")
    other.tools.append("t")
    other.images, other.media = 2, 3
    one.merge(other)
    one.merge(other)
    for name in Findings.__slots__:
        assert getattr(one, name) == getattr(other, name) * 2


def test_a_switch_is_off_only_when_it_is_false() -> None:
    assert is_off(False)  # noqa: FBT003 (the value of a field)
    assert not is_off(0)
