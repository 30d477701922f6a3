"""The tools that Ringfence itself offers to every agent: to ask a person, and to read on."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Final

import msgspec

from ringfence.decisions import reason
from ringfence.decisions.scope import BUILT_IN
from ringfence.domain.policy import PolicyDecision, PolicyVerdict
from ringfence.domain.tool import ToolKey
from ringfence.domain.verdict import Reason
from ringfence.enforcement.handover import ESCALATE
from ringfence.enforcement.runtime import AgentRuntime
from ringfence.enforcement.tool_memory import REST, REST_TOOL

ASK_USER: Final = ToolKey(server=BUILT_IN.name, name="ask_user")

PEOPLE: Final = frozenset({ASK_USER, ESCALATE})
"""Tools whose result is what a person says."""

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """What an agent asks a person."""

    question: Text
    context: Annotated[str, msgspec.Meta(max_length=8000)] = ""

    @property
    def heading(self) -> str:
        """What the person reads first."""
        return self.question


class Escalation(msgspec.Struct, forbid_unknown_fields=True):
    """What an agent leaves to a person."""

    reason: Text
    context: Annotated[str, msgspec.Meta(max_length=8000)] = ""

    @property
    def heading(self) -> str:
        """What the person reads first."""
        return self.reason


_ASKING: Final[Mapping[str, type[Question | Escalation]]] = {
    ASK_USER.name: Question,
    ESCALATE.name: Escalation,
}


def _definition(key: ToolKey, title: str, description: str, field: str, about: str) -> bytes:
    context = "What the person must know to answer: what was tried, what is at stake, ids."
    schema = {
        "type": "object",
        "properties": {
            field: {"type": "string", "maxLength": 4000, "description": about},
            "context": {"type": "string", "maxLength": 8000, "description": context},
        },
        "required": [field],
        "additionalProperties": False,
    }
    definition = {
        "name": key.name,
        "title": title,
        "description": description,
        "inputSchema": schema,
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    }
    return msgspec.json.encode(definition)


DEFINITIONS: Final[Mapping[str, bytes]] = {
    ASK_USER.name: _definition(
        ASK_USER,
        "Ask a person",
        "Asks a person a question and gives their answer. Use it when you cannot go on without a "
        "decision or a fact that only a person has. It may take long; if nobody has answered you "
        "are told so, and the same call made again later finds the answer.",
        "question",
        "One question that can be answered in a few sentences.",
    ),
    ESCALATE.name: _definition(
        ESCALATE,
        "Hand over to a person",
        "Hands what you cannot or may not do over to a person, who sees this whole run. Use it "
        "after a refusal that you cannot work around, or for a task that is not yours.",
        "reason",
        "Why you hand it over, and what should happen.",
    ),
    REST.name: REST_TOOL,
}
"""Raw definitions by name, as clients are shown them."""


def judged(
    runtime: AgentRuntime, key: ToolKey, arguments: bytes, decision: PolicyDecision
) -> PolicyDecision | Reason:
    """What becomes of a call of a built-in tool that policies allow: asking a person is to ask."""
    form = _ASKING.get(key.name)
    if form is None:
        return decision if key == REST else reason.tool_unknown(runtime.agent, key.merged)
    try:
        asked = msgspec.json.decode(arguments, type=form)
    except msgspec.ValidationError as error:
        return reason.arguments_invalid(key.merged, [str(error)])
    if decision.verdict is not PolicyVerdict.ALLOW:
        return decision
    return replace(decision, verdict=PolicyVerdict.ASK, reasons=(asked.heading,))


def answered(comment: str) -> bytes:
    """The result of asking a person who has agreed to answer."""
    text = comment or "A person has seen this and agreed, without further words."
    said = {"content": [{"type": "text", "text": text}], "isError": False}
    return msgspec.json.encode(said)
