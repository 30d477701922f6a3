"""Forms: the events of one invocation, filled in as far as all its calls have it in common."""

from ringfence.domain.action import ActionKind
from ringfence.domain.event import Decision, Intent, Outcome, Status
from ringfence.enforcement.directory import Caller, Directory
from ringfence.enforcement.live import Forms, LiveInvocation
from ringfence.enforcement.record import heading

_ALLOWED = Decision(verdict="allow")


def event_forms(caller: Caller, live: LiveInvocation, directory: Directory) -> Forms:
    """Fill in the forms for a caller under the configuration in force."""
    identity = live.identity
    common = heading(caller, directory, now_us=0)
    return Forms(
        caller=caller,
        configuration=directory.configuration,
        intent=Intent(
            **common,
            action="",
            action_kind=ActionKind.MODEL_CALL.value,
            resource="",
            operation="",
            invocation=identity.id,
            root=identity.root,
            parent=identity.parent,
            depth=identity.depth,
            grouping=identity.grouping.value,
            external_id=identity.external_id,
            step=0,
            decision=_ALLOWED,
            reserved_nano="0",
        ),
        outcome=Outcome(
            **common,
            action="",
            invocation=identity.id,
            root=identity.root,
            status=Status.UNKNOWN,
            cost_nano="0",
            reserved_nano="0",
        ),
    )
