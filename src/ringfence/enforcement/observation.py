"""What is seen of a sandbox beside its actions, put on the record in its invocation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, final

from ringfence.domain.event import Observation
from ringfence.domain.observation import Seen
from ringfence.domain.sandbox import Sandbox
from ringfence.enforcement.directory import Caller, Directory
from ringfence.enforcement.invocation import Invocations
from ringfence.enforcement.record import Ledger, heading
from ringfence.enforcement.repeat import Counted, Repeats
from ringfence.stores.body import Body
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids

REMEMBERED_MAX: Final = 10_000
SIGHTS_PER_MINUTE: Final = 600
"""How many different things of each kind one sandbox may put on the record in a minute by what it
does; what comes beyond is counted together, since a process can ask for new names for ever."""
KEPT_BYTES: Final = 4 * 1024 * 1024
"""How much of one body is kept."""
OTHERS: Final = "others"
_CHARACTERS: Final = 1_000
"""How much of one text is kept: names and addresses are what a process makes up."""

_UNCOUNTED: Final = frozenset({Seen.SANDBOX_STARTED, Seen.SANDBOX_ENDED, Seen.WORKSPACE})
"""What happens once, and what no process can cause at will: always written."""

_Cause = tuple[str, str, str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One thing that was seen; `domain.observation.Seen` says which details each kind has."""

    what: Seen
    subject: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)
    reported_by: str = ""
    """`event.AGENT` for what the agent's own processes say."""


@final
class Observations:
    """Writes what is seen of sandboxes; one for each worker.

    What is seen again within some seconds is counted, and the count written when that is over.
    Nothing here waits: for what must be durable, flush the ledger.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        directory: Directory,
        invocations: Invocations,
        clock: Clock,
        ids: Ids,
    ) -> None:
        """Nothing was seen yet."""
        self._ledger = ledger
        self._directory = directory
        self._invocations = invocations
        self._clock = clock
        self._ids = ids
        self._repeats: Repeats[_Cause, tuple[Caller, Sandbox, Sighting]] = Repeats(
            clock, self._write_repeats, most=REMEMBERED_MAX, per_minute=SIGHTS_PER_MINUTE
        )

    def see(
        self,
        caller: Caller,
        sandbox: Sandbox,
        sighting: Sighting,
        body: bytes = b"",
        *,
        times: int = 1,
    ) -> str:
        """Put something on the record; gives its id, for a repeat that of the first.

        `times` is how often it was seen by now; what has a body is seen once.
        """
        now_us = self._clock.now_us()
        if body or sighting.what in _UNCOUNTED:
            return self._write(caller, sandbox, sighting, now_us, body=body)
        cause = _cause(sandbox, sighting)
        repeats = self._repeats
        action = repeats.again(cause, now_us, times)
        if action is None and not repeats.may_add(f"{sandbox.id} {sighting.what}", now_us):
            sighting = Sighting(what=sighting.what, subject=OTHERS)
            cause = _cause(sandbox, sighting)
            action = repeats.again(cause, now_us, times)
        if action is None:
            action = self._write(caller, sandbox, sighting, now_us)
            repeats.add(cause, (caller, sandbox, sighting), action, now_us)
            if times > 1:
                repeats.again(cause, now_us, times - 1)
        return action

    def flush(self, *, everything: bool = False) -> None:
        """Write out the counts whose time has passed, or all of them."""
        self._repeats.flush(everything=everything)

    def end(self, sandbox: str) -> None:
        """A sandbox is over: write out what was counted of it."""
        self._repeats.end(lambda cause: cause[0] == sandbox)

    def _write_repeats(self, counted: Counted[tuple[Caller, Sandbox, Sighting]]) -> None:
        now_us = self._clock.now_us()
        self._write(*counted.what, now_us, repeats=counted.repeats, first_action=counted.action)

    def _write(  # noqa: PLR0913 (an event has these parts)
        self,
        caller: Caller,
        sandbox: Sandbox,
        sighting: Sighting,
        now_us: int,
        *,
        body: bytes = b"",
        repeats: int = 0,
        first_action: str = "",
    ) -> str:
        live = self._invocations.find(sandbox.invocation)
        if live is not None and not live.is_recorded:
            self._invocations.record_opening(live)
        action = self._ids.make("act")
        event = Observation(
            **heading(caller, self._directory, now_us),
            action=action,
            what=sighting.what.value,
            sandbox=sandbox.id,
            invocation=sandbox.invocation,
            root=sandbox.invocation if live is None else live.root,
            subject=sighting.subject[:_CHARACTERS],
            detail={name: value[:_CHARACTERS] for name, value in sighting.detail.items()},
            reported_by=sighting.reported_by,
            repeats=repeats,
            first_action=first_action,
        )
        self._ledger.record(event, Body(body[:KEPT_BYTES]) if body else None)
        return action


def _cause(sandbox: Sandbox, sighting: Sighting) -> _Cause:
    detail = tuple(sorted(sighting.detail.items()))
    return sandbox.id, sighting.what.value, sighting.subject, detail
