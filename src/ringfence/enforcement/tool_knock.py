"""A tool call as it comes to the path, and what its events and its approval say of it."""

from ringfence.domain.action import ActionKind
from ringfence.domain.approval import Binding
from ringfence.domain.event import BY_CALLER, Decision, Intent
from ringfence.domain.tool import PermissionTier, ToolKey
from ringfence.enforcement.holding import HeldKnock, binding_of
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.policy import facts_of
from ringfence.enforcement.tool_quote import CALL, ToolQuote

NAME_CHARACTERS = 200
"""How much of a name that somebody made up a refusal keeps."""


class ToolKnock(HeldKnock, frozen=True, kw_only=True):
    """One tool call as it comes to the path.

    What is not a tool (resources, prompts, completion) passes too: its key names the server and
    the method, for example `resources/read`, which scopes and policies name alike.
    """

    key: ToolKey
    """The name that scopes and policies know, also for what came through `/mcp`."""
    arguments: bytes = b"{}"
    """The raw JSON object as it came, read strictly."""
    operation: str = CALL
    """The method of the protocol."""
    call_id: str = ""
    """The model's id of this call, if the client tells it: joins it to the model call."""
    about: str = ""
    """The action that this one stands in for, checks or undoes, if the plane itself makes it."""
    because: str = ""
    """Why a person must approve it whatever the policies say; empty if they decide."""


def state_call(intent: Intent, knock: ToolKnock, quote: ToolQuote) -> None:
    """Fill in an intent what it says of its call."""
    intent.action_kind = ActionKind.TOOL_CALL.value
    intent.resource = knock.key.merged
    intent.operation = knock.operation
    intent.upstream = knock.key.server
    intent.enforced = BY_CALLER if quote.server.is_run_by_agent else ""
    intent.body_bytes = len(quote.arguments)
    intent.call_id = knock.call_id[:NAME_CHARACTERS]
    intent.permission = quote.tier.name.lower()
    intent.pin = quote.pin
    intent.about = knock.about
    intent.approval = knock.approval if knock.consumed else ""
    intent.decision = Decision(verdict="allow", facts=dict(facts_of(quote.decision)))


def binding(knock: ToolKnock, live: LiveInvocation, quote: ToolQuote) -> Binding:
    """What an approval of the call is bound to."""
    kind, name = ActionKind.TOOL_CALL, knock.key.merged
    return binding_of(knock, live, kind, name, quote.arguments, quote.decision, quote.pin)


def doubts(live: LiveInvocation, quote: ToolQuote) -> tuple[str, ...]:
    """What a person must know before such a call: checks of the state that have failed."""
    if quote.tier < PermissionTier.CONSEQUENTIAL:
        return ()
    return tuple(live.tree.doubts.values())
