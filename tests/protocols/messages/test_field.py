"""Each row of the field table decides as it says, allowing and denying."""

import json

import pytest

from ringfence.domain.exchange import Feature, ModelRequest
from ringfence.protocols.field import Meaning
from ringfence.protocols.messages import MessagesCodec
from ringfence.protocols.messages.field import FIELDS

CODEC = MessagesCodec()

HARMLESS: dict[str, object] = {
    "service_tier": "standard_only",
    "speed": "standard",
    "inference_geo": "global",
    "billing_policy": {"type": "billing_policy", "bill_to": "self"},
    "fallbacks": [],
    "context_management": {
        "edits": [{"type": "clear_thinking_20251015"}, {"type": "clear_tool_uses_20250919"}]
    },
}
GOVERNED: list[tuple[str, object, str, tuple[str, ...]]] = [
    ("service_tier", "auto", "auto", ()),
    ("speed", "fast", "fast", ()),
    ("inference_geo", "us", "us", ()),
    ("billing_policy", {"type": "billing_policy", "bill_to": "user_profile"}, "", ()),
    ("fallbacks", [{"model": "claude-opus-5"}], "", ()),
    ("fallbacks", "default", "default", ()),
    ("compaction", {"type": "summarize"}, "", ()),
    ("context_management", {"edits": [{"type": "compact_20260112"}]}, "", ()),
    ("context_management", {"edits": "clear_thinking_"}, "", ()),
    ("context_management", "x", "x", ()),
    ("container", "container_1", "container_1", ("container_1",)),
    ("container", {"id": "container_1", "skills": []}, "container_1", ("container_1",)),
    ("container", {"skills": [{"skill_id": "pptx"}]}, "", ()),
]
UNKNOWN = {"a_new_field": 1, "betas": ["x"], "Model": "other", "model_": "x"}


def parse(**fields: object) -> ModelRequest:
    body = {"model": "m", "messages": [], **fields}
    return CODEC.parse(json.dumps(body).encode())


def governed(request: ModelRequest) -> tuple[Feature, ...]:
    return request.priced_fields + request.outside_inputs + request.hosted_tools


def test_every_row_has_a_reason_and_a_name_of_its_own() -> None:
    assert all(row.reason for row in FIELDS.rows)
    assert len({row.name for row in FIELDS.rows}) == len(FIELDS.rows)


def test_every_governed_row_is_tried_here() -> None:
    tried = {name for name, *_ in GOVERNED} | {"thread", "thread.previous_message_id"}
    free = {Meaning.READ, Meaning.FREE}
    assert {row.name for row in FIELDS.rows if row.meaning not in free} == tried


@pytest.mark.parametrize("row", [row for row in FIELDS.rows if row.meaning is Meaning.FREE])
def test_a_free_field_passes(row: object) -> None:
    assert not governed(parse(**{row.name: {"type": "x"}}))  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "value"), HARMLESS.items())
def test_a_harmless_value_passes(name: str, value: object) -> None:
    assert not governed(parse(**{name: value}))


@pytest.mark.parametrize(
    "name", [*sorted({name for name, *_ in GOVERNED}), "a_new_field", "thread"]
)
def test_null_is_absent(name: str) -> None:
    assert not governed(parse(**{name: None}))


@pytest.mark.parametrize(("name", "value", "shown", "objects"), GOVERNED)
def test_a_governed_value_is_named(
    name: str, value: object, shown: str, objects: tuple[str, ...]
) -> None:
    request = parse(**{name: value})
    assert governed(request) == (Feature(name, shown),)
    assert request.provider_objects == objects


def test_a_conversation_kept_by_the_provider_is_outside_input() -> None:
    made = parse(thread={"type": "create"})
    assert made.outside_inputs == (Feature("thread"),)
    assert made.provider_objects == ()
    continued = parse(thread={"type": "continue", "previous_message_id": "msg_1"})
    assert continued.outside_inputs[-1] == Feature("thread.previous_message_id", "msg_1")
    assert continued.provider_objects == ("msg_1",)


@pytest.mark.parametrize(("name", "value"), UNKNOWN.items())
def test_a_field_that_no_table_names_may_change_the_price(name: str, value: object) -> None:
    assert [feature.name for feature in parse(**{name: value}).priced_fields] == [name]
