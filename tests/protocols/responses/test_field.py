import json

import pytest
from tests.protocols import governed_field
from tests.protocols.governed_field import ANYTHING, check_noted, check_passes

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


def test_every_row_has_its_reason_and_its_own_name() -> None:
    names = [row.name for row in FIELDS.rows]
    assert len(set(names)) == len(names)
    assert all(row.reason for row in FIELDS.rows)
