import json

import pytest

from ringfence.domain.exchange import ModelRequest
from ringfence.protocols.field import Field, Meaning
from ringfence.protocols.responses import ResponsesCodec
from ringfence.protocols.responses.field import FIELDS

CODEC = ResponsesCodec()

# For each governed field a value that must be noted, and one that means nothing.
GOVERNED: dict[str, tuple[object, object]] = {
    "previous_response_id": ("resp_1", None),
    "conversation": ({"id": "conv_1"}, None),
    "prompt": ({"id": "pmpt_1", "version": "2"}, None),
    "prompt_cache_options.comparison_response_id": ("resp_1", None),
    "background": (True, False),
    "context_management": ([{"type": "compaction"}], None),
    "access_programs": ({"cyber": "daybreak_red"}, {"cyber": "standard"}),
    "moderation": ({"model": "omni"}, None),
    "service_tier": ("priority", "default"),
    "reasoning.mode": ("pro", "standard"),
    "prompt_cache_options.ttl": ("12h", "30m"),
    "prompt_cache_retention": ("24h", "in_memory"),
    "client_metadata": ({"x": "1"}, None),
    "metadata": ({"run": "1"}, None),
    "prompt_cache_key": ("k", None),
    "session_id": ("s", None),
    "safety_identifier": ("s", None),
    "user": ("u", None),
}


def _parse(name: str, value: object) -> ModelRequest:
    outer, _, inner = name.partition(".")
    fields = {outer: {inner: value} if inner else value}
    return CODEC.parse(json.dumps({"model": "m", "input": "x", **fields}).encode())


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


def test_every_row_has_its_reason_and_its_own_name() -> None:
    names = [row.name for row in FIELDS.rows]
    assert len(set(names)) == len(names)
    assert all(row.reason for row in FIELDS.rows)
