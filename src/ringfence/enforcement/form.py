"""Forms: the events of one invocation, filled in as far as all its calls have it in common."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from ringfence.decisions.reservation import Reservation
from ringfence.domain.action import ActionKind
from ringfence.domain.event import AccountLine, Decision, Intent, Outcome, Status
from ringfence.enforcement.directory import Caller, Directory
from ringfence.enforcement.live import AccountName, Forms, LiveInvocation
from ringfence.enforcement.record import heading

Form = TypeVar("Form", Intent, Outcome)

_ALLOWED = Decision(verdict="allow")


def forms_of(caller: Caller, live: LiveInvocation, directory: Directory) -> Forms:
    """The forms of an invocation, filled in anew for another caller or configuration."""
    forms, configuration = live.forms, directory.configuration
    if forms is None or forms.caller is not caller or forms.configuration is not configuration:
        forms = live.forms = event_forms(caller, live, directory)
    return forms


def copied(form: Form) -> Form:
    """A form to be completed; as `copy.copy`, which would look for the way to do it each time."""
    made: Form = form.__copy__()  # type: ignore[attr-defined] # msgspec tells no types of it
    return made


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


def account_lines(reservation: Reservation, names: Iterable[AccountName]) -> list[AccountLine]:
    """The accounts of a reservation as an event states them; names in the order of the accounts.

    What costs nothing at all touches no account, and states none.
    """
    if not reservation.amount:
        return []
    return [
        AccountLine(*name, str(start_us), str(limit), str(left))
        for name, (start_us, limit, left) in zip(names, reservation.balances(), strict=True)
    ]


def account_lines_after(
    reservation: Reservation, before: Sequence[AccountLine]
) -> list[AccountLine]:
    """The same accounts and windows again, with what is left of them now."""
    if not before:
        return []
    return [
        AccountLine(line.scope, line.holder, line.per, line.window_us, str(limit), str(left))
        for line, (_, limit, left) in zip(before, reservation.balances(), strict=True)
    ]
