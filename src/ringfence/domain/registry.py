"""What workers and the registry of invocations tell each other: plain data, for one process or two.

The registry knows every open invocation of an installation; a worker knows those in which it acts,
and asks for the others.
"""

import msgspec

from ringfence.domain.caller import CallerTier
from ringfence.domain.invocation import Invocation, InvocationState
from ringfence.domain.lease import Need, Slab
from ringfence.domain.user import Principal
from ringfence.domain.verdict import Ask, Deny, Reason, Refused, Stop, Throttle


class Who(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A caller as its credential and its proof have shown it: an `enforcement.directory.Caller`."""

    agent: str
    credential: str
    invocation: str = ""
    tier: CallerTier = CallerTier.API
    principal: Principal | None = None
    proof: str = ""
    ends_us: int | None = None


class Clue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a call shows of the run it belongs to; see `decisions.clue.Clues`."""

    header: str = ""
    trace: str = ""
    client: str = ""
    chain: tuple[int, ...] = ()
    is_tool: bool = False


class Card(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that a worker must know of one invocation to act in it.

    `narrowing` is the JSON text that the record keeps (`enforcement.narrowing`). `stopped` is why
    it was ended for good.
    """

    identity: Invocation
    narrowing: str = ""
    principal: Principal | None = None
    token_digest: bytes | None = None
    last_us: int = 0
    state: InvocationState = InvocationState.OPEN
    stopped: Reason | None = None
    seen: tuple[str, ...] = ()
    """Labels of what its tree has read."""
    doubts: tuple[tuple[str, str], ...] = ()
    """By action what is not as it must be after it."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A verdict other than Allow; `invocation` is the one it is about, if any."""

    verdict: str
    reason: Reason
    retry_after_s: float = 0.0
    invocation: str = ""

    @classmethod
    def of(cls, refused: Refused, invocation: str = "") -> "Refusal":
        """A verdict as data."""
        wait_s = refused.retry_after_s if isinstance(refused, Throttle) else 0.0
        return cls(
            verdict=type(refused).__name__.lower(),
            reason=refused.reason,
            retry_after_s=wait_s,
            invocation=invocation,
        )

    def refused(self) -> Refused:
        """The verdict again."""
        match self.verdict:
            case "throttle":
                return Throttle(reason=self.reason, retry_after_s=self.retry_after_s)
            case "stop":
                return Stop(reason=self.reason)
            case "ask":
                return Ask(reason=self.reason)
            case _:
                return Deny(reason=self.reason)


class Resolve(msgspec.Struct, frozen=True, kw_only=True, tag="registry.resolve"):
    """A worker asks which invocation a call belongs to; the registry opens it if it is new.

    `need` is what the worker expects such a call to need, so that slabs can come with the answer.
    """

    who: Who
    clue: Clue
    need: Need | None = None


class Declare(msgspec.Struct, frozen=True, kw_only=True, tag="registry.declare"):
    """A worker passes on that an agent declares a run; `digest` is that of its new token."""

    who: Who
    task: str
    narrowing: str
    digest: bytes


class Resolved(msgspec.Struct, frozen=True, kw_only=True, tag="registry.resolved"):
    """The answer to both: the invocation last, what it is part of before it; or why not.

    `slabs` are of the accounts that begin and end with the run: most calls need no more.
    """

    cards: tuple[Card, ...] = ()
    refusal: Refusal | None = None
    slabs: tuple[Slab, ...] = ()


class End(msgspec.Struct, frozen=True, kw_only=True, tag="registry.end"):
    """A worker asks that an invocation be finished, or with a cause stopped, with all below it."""

    invocation: str
    cause: Reason | None = None


class Heard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="registry.heard"):
    """What a worker has seen of invocations that it knows.

    `touched` gives roots with the time of their last call, UTC microseconds; `tips` gives roots
    with the hash of a conversation that may be continued.
    """

    touched: tuple[tuple[str, int], ...] = ()
    tips: tuple[tuple[str, int], ...] = ()


class Marked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="registry.marked"):
    """What a tree of runs has read, and what is in doubt in it: told by a worker, and passed on.

    `seen` are labels and only grow. `doubts` say of an action what is not as it must be;
    `is_cleared`: a person has approved what came next all the same.
    """

    root: str
    seen: tuple[str, ...] = ()
    doubts: tuple[tuple[str, str], ...] = ()
    is_cleared: bool = False


class Opened(msgspec.Struct, frozen=True, tag="registry.opened"):
    """The registry tells every worker of invocations that were given a token."""

    cards: tuple[Card, ...]


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="registry.ended"):
    """The registry tells that an invocation is over; what is below it is told of by itself."""

    invocation: str
    state: InvocationState
    cause: Reason | None = None
