import json

import pytest
from tests.protocols import governed_field
from tests.protocols.governed_field import ANYTHING, check_noted, check_passes, noted

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


def test_every_governed_field_has_an_example_here() -> None:
    assert {row.name for row in governed_field.of(FIELDS)} == GOVERNED.keys()


@pytest.mark.parametrize("row", governed_field.of(FIELDS), ids=lambda row: row.name)
def test_a_governed_field_is_noted(row: Field) -> None:
    check_noted(_parse, row, GOVERNED[row.name][0])


@pytest.mark.parametrize("row", governed_field.of(FIELDS), ids=lambda row: row.name)
def test_a_governed_field_that_means_nothing_passes(row: Field) -> None:
    check_passes(_parse, row, None, GOVERNED[row.name][1])


@pytest.mark.parametrize("row", governed_field.of(FIELDS, Meaning.FREE), ids=lambda row: row.name)
def test_a_free_field_passes(row: Field) -> None:
    check_passes(_parse, row, *ANYTHING)


@pytest.mark.parametrize("tier", ["auto", "flex", "priority", "fast", "scale", "standard"])
def test_every_tier_but_the_default_is_priced(tier: str) -> None:
    assert _parse("service_tier", tier).priced_fields == (Feature("service_tier", tier),)


def test_an_unknown_field_may_change_the_price() -> None:
    assert noted(_parse("anything_new", {"x": 1})) == {Meaning.PRICED: ["anything_new"]}


def test_every_row_has_its_reason_and_its_own_name() -> None:
    names = [row.name for row in FIELDS.rows]
    assert len(set(names)) == len(names)
    assert all(row.reason for row in FIELDS.rows)
