"""What the tests of policies begin with: an organisation, its files and questions to it."""

import json
from collections.abc import Mapping

from ringfence.decisions.policy import engine
from ringfence.decisions.policy.policy_set import PolicySet
from ringfence.decisions.policy.rule import Rule, read_rule
from ringfence.domain.action import ActionKind
from ringfence.domain.agent import Agent, Autonomy, Category, Scope
from ringfence.domain.caller import CallerTier
from ringfence.domain.model import Model
from ringfence.domain.organisation import Organisation, Team
from ringfence.domain.policy import Question, ToolFacts
from ringfence.domain.tool import PermissionTier

NOON_US = 1_795_262_400_000_000
"""2026-11-21, a Saturday, 12:00 UTC."""

REFUND = {
    "type": "object",
    "properties": {
        "amount": {"type": "number"},
        "order": {"type": "string"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
    },
    "required": ["order"],
}


def organisation(autonomy: Autonomy = Autonomy.ASK_IRREVERSIBLE, **changes: object) -> Organisation:
    triage = Agent(
        name="triage",
        owner="owner@acme.example",
        team="support",
        category=Category.BOUNDED,
        purpose="",
        scope=Scope(
            models=frozenset({"small"}),
            tools=("crm__*", "files__read_?"),
            hosts=("*.example.com",),
            commands=("git",),
        ),
        autonomy=autonomy,
    )
    whole: dict[str, object] = {
        "name": "acme",
        "teams": {"support": Team(name="support")},
        "agents": {"triage": triage},
        "models": {"small": Model(name="small", provider="house", upstream="small")},
        **changes,
    }
    return Organisation(**whole)  # type: ignore[arg-type]  # as the caller names them


def rules(text: str) -> list[Rule]:
    return [
        read_rule(body, name=f"file#{number}", source="file.cedar", line=1, text=f"{each};")
        for number, each in enumerate(filter(str.strip, text.split(";")), 1)
        for body in engine.parse(f"{each};")
    ]


def tools(**schemas: object) -> Mapping[str, ToolFacts]:
    return {
        name: ToolFacts(input_schema=json.dumps(each).encode()) for name, each in schemas.items()
    }


def policies(text: str = "", autonomy: Autonomy = Autonomy.ASK_IRREVERSIBLE) -> PolicySet:
    return PolicySet(organisation(autonomy), rules(text) if text else (), tools(crm__refund=REFUND))


def question(resource: str = "crm__refund", arguments: str = "{}", **changes: object) -> Question:
    whole: dict[str, object] = {
        "organisation": "acme",
        "agent": "triage",
        "team": "support",
        "category": Category.BOUNDED,
        "caller_tier": CallerTier.API,
        "chain": ("triage",),
        "user": None,
        "action": ActionKind.TOOL_CALL,
        "resource": resource,
        "tier": PermissionTier.CONSEQUENTIAL,
        "arguments": arguments.encode(),
        "seen": frozenset[str](),
        "now_us": NOON_US,
        **changes,
    }
    return Question(**whole)  # type: ignore[arg-type]  # as the caller names them
