"""Cedar itself: the one module that imports `cedarpy`, and only when there is something to decide.

An installation whose agents only call models, without policy files, never pays for it: 50 ms and
16 MB. What Cedar cannot say for sure comes back as a problem, which denies.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, TypeAlias

from ringfence.domain.error import UsageError

Json: TypeAlias = dict[str, Any]
"""A policy, a schema or an entity in Cedar's own JSON formats."""

Uid: TypeAlias = tuple[str, str]
"""Type and id of an entity, for example `("Agent", "triage")`."""


_NUMBERED = re.compile(r"policy([0-9]+)")


@dataclass(frozen=True, slots=True)
class Compiled:
    """Policies that Cedar has parsed; `handle` is its own."""

    handle: object


@dataclass(frozen=True, slots=True)
class Answer:
    """What Cedar says: whether it allows, the ids of the policies that decide, and what failed."""

    is_allowed: bool
    policies: tuple[str, ...] = ()
    problem: str = ""


def load() -> None:
    """Import Cedar now; else the first question does."""
    _cedar()


@cache
def _cedar() -> ModuleType:
    import cedarpy  # noqa: PLC0415 (only who decides by policies pays for it)

    return cedarpy


def parse(text: str) -> Sequence[Json]:
    """Read policies from Cedar's text into its JSON format, in order.

    Raises UsageError `policy_invalid` with Cedar's own words, which name no line.
    """
    try:
        found = json.loads(_cedar().policies_to_json_str(text))
    except ValueError as error:
        raise UsageError("policy_invalid", str(error).strip()) from error
    if found["templates"]:
        raise UsageError(
            "policy_invalid",
            "templates (`?principal`, `?resource`) are not supported",
            help="name the agent or the resource, or leave it out for all",
        )
    policies: dict[str, Json] = found["staticPolicies"]
    return [policies[f"policy{number}"] for number in range(len(policies))]


def validate(texts: Sequence[str], schema: Json) -> Mapping[int, Sequence[str]]:
    """What Cedar finds wrong with policies, by their place in the sequence."""
    result = _cedar().validate_policies("\n".join(texts), schema)
    found: dict[int, list[str]] = {}
    for error in result.errors:
        number = _NUMBERED.fullmatch(error.policy_id)
        found.setdefault(int(number[1]) if number else 0, []).append(error.error)
    if not result.validation_passed and not found:
        found[0] = ["Cedar refuses it and does not say why"]
    return found


def compile_rules(rules: Mapping[str, Json]) -> Compiled:
    """Prepare policies under ids of our own."""
    whole = {"staticPolicies": dict(rules), "templates": {}, "templateLinks": []}
    return Compiled(_cedar().PolicySet.from_json_str(json.dumps(whole)))


def compile_entities(entities: Sequence[Json]) -> Compiled:
    """Prepare the entities that a question is about."""
    return Compiled(_cedar().Entities.from_json_str(json.dumps(entities)))


def uid(entity: Uid) -> Json:
    """An entity's name as Cedar's JSON has it."""
    kind, name = entity
    return {"type": kind, "id": name}


def ask(rules: Compiled, entities: Compiled, request: Json) -> Answer:
    """Put one question to Cedar.

    INVARIANT: any diagnostic is a problem. Cedar skips a policy that fails to evaluate, so that a
    `forbid` next to a wide `permit` would otherwise allow what it cannot read.
    """
    result = _cedar().is_authorized(request, rules.handle, entities.handle)
    errors = result.diagnostics.errors
    if errors:
        return Answer(is_allowed=False, problem="; ".join(sorted(errors)))
    decision = result.decision.value
    if decision not in {"Allow", "Deny"}:
        return Answer(is_allowed=False, problem="Cedar came to no decision")
    return Answer(decision == "Allow", tuple(result.diagnostics.reasons))
