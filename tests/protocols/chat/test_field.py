import json

import pytest

from ringfence.domain.exchange import Feature, ModelRequest
from ringfence.protocols.chat import ChatCodec
from ringfence.protocols.chat.field import FIELDS
from ringfence.protocols.field import Field, Meaning

CODEC = ChatCodec()

# For each governed field a value that must be noted, and one that means nothing.
GOVERNED: dict[str, tuple[object, object]] = {
    "audio": ({"voice": "alloy", "format": "wav"}, None),
    "modalities": (["text", "audio"], ["text"]),
    "moderation": ({"model": "omni"}, None),
    "prediction": ({"type": "content", "content": "x"}, None),
    "service_tier": ("priority", "default"),
    "prompt_cache_options.ttl": ("12h", "30m"),
    "prompt_cache_options.comparison_response_id": ("resp_1", None),
    "prompt_cache_retention": ("24h", "in_memory"),
    "web_search_options": ({}, None),
    "metadata": ({"run": "1"}, None),
    "prompt_cache_key": ("k", None),
    "safety_identifier": ("s", None),
    "user": ("u", None),
    "session_id": ("s", None),
    "use_beam_search": (True, False),
    "models": (["a"], None),
    "provider": ({"order": ["x"]}, None),
    "route": ("fallback", None),
    "preset": ("p", None),
    "plugins": ([{"id": "web"}], None),
    "search_parameters": ({"mode": "on"}, None),
    "search_settings": ({}, None),
    "compound_custom": ({}, None),
    "enable_search": (True, False),
    "web_search": (True, False),
    "data_sources": ([{"type": "azure_search"}], None),
}


def _parse(name: str, value: object) -> ModelRequest:
    outer, _, inner = name.partition(".")
    fields = {outer: {inner: value} if inner else value}
    return CODEC.parse(json.dumps({"model": "m", "messages": [], **fields}).encode())


def _noted(request: ModelRequest) -> dict[Meaning, list[str]]:
    found = {
        Meaning.PRICED: [feature.name for feature in request.priced_fields],
        Meaning.HOSTED: [feature.name for feature in request.hosted_tools],
        Meaning.OUTSIDE: [feature.name for feature in request.outside_inputs],
        Meaning.CLIENT_ID: [name.partition(".")[0] for name, _ in request.client_ids],
    }
    return {meaning: names for meaning, names in found.items() if names}


def _governed() -> list[Field]:
    return [row for row in FIELDS.rows if row.meaning not in (Meaning.READ, Meaning.FREE)]


def test_every_governed_field_has_an_example_here() -> None:
    assert {row.name for row in _governed()} == GOVERNED.keys()


@pytest.mark.parametrize("row", _governed(), ids=lambda row: row.name)
def test_a_governed_field_is_noted(row: Field) -> None:
    request = _parse(row.name, GOVERNED[row.name][0])
    meaning = Meaning.OUTSIDE if row.meaning is Meaning.OBJECT else row.meaning
    assert _noted(request) == {meaning: [row.name]}
    assert bool(request.provider_objects) == (row.meaning is Meaning.OBJECT)


@pytest.mark.parametrize("row", _governed(), ids=lambda row: row.name)
def test_a_governed_field_that_means_nothing_passes(row: Field) -> None:
    assert _noted(_parse(row.name, None)) == {}
    assert _noted(_parse(row.name, GOVERNED[row.name][1])) == {}


@pytest.mark.parametrize(
    "row", [row for row in FIELDS.rows if row.meaning is Meaning.FREE], ids=lambda row: row.name
)
def test_a_free_field_passes(row: Field) -> None:
    for value in (True, 1, "x", {"a": 1}, ["x"]):
        assert _noted(_parse(row.name, value)) == {}


@pytest.mark.parametrize("tier", ["auto", "flex", "priority", "fast", "scale", "standard"])
def test_every_tier_but_the_default_is_priced(tier: str) -> None:
    assert _parse("service_tier", tier).priced_fields == (Feature("service_tier", tier),)


def test_an_unknown_field_may_change_the_price() -> None:
    assert _noted(_parse("anything_new", {"x": 1})) == {Meaning.PRICED: ["anything_new"]}


def test_every_row_has_its_reason_and_its_own_name() -> None:
    names = [row.name for row in FIELDS.rows]
    assert len(set(names)) == len(names)
    assert all(row.reason for row in FIELDS.rows)
