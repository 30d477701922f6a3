"""What can be asked of the ledger's events, and whether an event answers it."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Literal, final

import msgspec

from ringfence.domain.error import UsageError
from ringfence.domain.event import (
    FINDING,
    AnyEvent,
    Change,
    Hold,
    Intent,
    Observation,
    Outcome,
    Refusal,
    spoken_in,
)
from ringfence.domain.invocation import InvocationState
from ringfence.stores.ledger.format import decode
from ringfence.stores.ledger.invocation import InvocationRecord

Kind = Literal["intent", "outcome", "refusal", "hold", "observation", "change", "finding"]
"""A finding is a change whose `what` begins with `finding.`; asking for changes gives both."""

_KINDS: Final = {
    Intent: "intent",
    Outcome: "outcome",
    Refusal: "refusal",
    Hold: "hold",
    Observation: "observation",
    Change: "change",
}


class Criteria(msgspec.Struct, frozen=True, kw_only=True):
    """What an event must be like; None asks for any.

    `agent` is an id or a name, `user` somebody on whose behalf an agent acted or who made a change.
    Times are UTC microseconds, `until_us` exclusive. `verdict` is that of an intent or refusal.
    `code` is a refusal's code, an outcome's status or error, or the `what` of a change or an
    observation. `action_kind` and `resource` are of what was asked for, `sandbox` an id. `text` is
    looked for in bodies: the events whose body brought a matching message first are given.
    """

    agent: str | None = None
    user: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    kind: Kind | None = None
    verdict: str | None = None
    code: str | None = None
    invocation: str | None = None
    action: str | None = None
    action_kind: str | None = None
    resource: str | None = None
    sandbox: str | None = None
    text: str | None = None


class Filter(Criteria, frozen=True, kw_only=True):
    """Which events of one organisation to give.

    `user` is an id. `after` is the `cursor` of the last event of the page before.
    """

    organisation: str
    after: str | None = None
    limit: int | None = None
    is_newest_first: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationFilter:
    """Which invocations of one organisation to give, newest first; None asks for any.

    `agent` is an id; `root` asks for a whole tree, `is_root` for tops of trees or what is below.
    Times are those of opening. `after` is the id of the last invocation of the page before.
    """

    organisation: str
    agent: str | None = None
    state: InvocationState | None = None
    root: str | None = None
    is_root: bool | None = None
    since_us: int | None = None
    until_us: int | None = None
    after: str | None = None
    limit: int | None = None

    def accepts(self, record: InvocationRecord) -> bool:
        """Whether an invocation is asked for; its tree was looked at before."""
        found, opened_us = record.invocation, record.invocation.opened_us
        return (
            (self.is_root is None or self.is_root is (found.id == found.root))
            and (self.agent is None or self.agent == found.agent)
            and (self.state is None or self.state is record.state)
            and (self.since_us is None or opened_us >= self.since_us)
            and (self.until_us is None or opened_us < self.until_us)
        )


@final
@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an event stands among all logs: by time, then by log and sequence.

    `time_us` is that of the event's segment, which never falls within a log, so that the order of a
    log is kept whatever its clock did.
    """

    time_us: int
    log: str
    sequence: int

    def __str__(self) -> str:
        """The cursor that continues after this event."""
        return f"{self.time_us}:{self.log}:{self.sequence}"

    @classmethod
    def parse(cls, cursor: str) -> "Place":
        """Read a cursor. Raises UsageError `cursor_malformed`."""
        try:
            time_us, log, sequence = cursor.split(":")
            return cls(int(time_us), log, int(sequence))
        except ValueError:
            raise UsageError(
                "cursor_malformed",
                f"`{cursor}` is not a place in the ledger",
                help="give back the cursor of the last event of a page, unchanged",
            ) from None


@final
@dataclass(frozen=True, slots=True)
class Stored:
    """An event as it was written."""

    leaf: bytes
    place: Place

    @property
    def cursor(self) -> str:
        """What to give as `after` to continue behind this event."""
        return str(self.place)

    @property
    def event(self) -> AnyEvent:
        """The leaf read."""
        return decode(self.leaf)


@final
class Matcher:
    """Tells which leaves a filter asks for.

    Most leaves are turned away by the bytes they would have to contain; canonical JSON has one
    spelling. What is left is read and looked at in full.
    """

    def __init__(self, asked: Filter, actions: AbstractSet[str] | None = None) -> None:
        """Take a filter, and the actions that its `text` stands for."""
        self._asked = asked
        self._actions = actions
        self._needles = tuple(_needles(asked))
        self._named = tuple(_named(asked).items())

    def may_be_in(self, data: bytes) -> bool:
        """Whether some leaves, or one, could be asked for; false is certain."""
        return all(needle in data for needle in self._needles)

    def has(self, leaf: bytes) -> bool:
        """Whether the leaf is asked for."""
        return self.may_be_in(leaf) and self._accepts(decode(leaf))

    def _accepts(self, event: AnyEvent) -> bool:
        asked, time_us = self._asked, int(event.time_us)
        action = getattr(event, "action", None)
        said = self._actions is None or spoken_in(event) in self._actions
        return (
            event.organisation == asked.organisation
            and (asked.since_us is None or time_us >= asked.since_us)
            and (asked.until_us is None or time_us < asked.until_us)
            and (asked.kind is None or _is_of(event, asked.kind))
            and (asked.invocation is None or event.invocation == asked.invocation)
            and (asked.action is None or action == asked.action)
            and all(getattr(event, name, None) == value for name, value in self._named)
            and said
            and (asked.agent is None or asked.agent in _agents(event))
            and (asked.user is None or asked.user in _users(event))
            and (asked.verdict is None or asked.verdict == _verdict(event))
            and (asked.code is None or asked.code in _codes(event))
        )


def _named(asked: Filter) -> dict[str, str]:
    """Fields that an event must have, if it knows them at all."""
    fields = {
        "action_kind": asked.action_kind,
        "resource": asked.resource,
        "sandbox": asked.sandbox,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _needles(asked: Filter) -> list[bytes]:
    """Bytes that a leaf must contain to be asked for, though not every leaf that does is."""
    values = (asked.agent, asked.code)
    pairs = {
        "organisation": asked.organisation,
        "kind": "change" if asked.kind == "finding" else asked.kind,
        "invocation": asked.invocation,
        "action": asked.action,
        "verdict": asked.verdict,
        **_named(asked),
    }
    return [
        *(b'"%s":%s' % (k.encode(), msgspec.json.encode(v)) for k, v in pairs.items() if v),
        *(msgspec.json.encode(value) for value in values if value),
        *([asked.user.encode()] if asked.user else []),
    ]


def _is_of(event: AnyEvent, kind: Kind) -> bool:
    if kind == "finding":
        return isinstance(event, Change) and event.what.startswith(FINDING)
    return kind == _KINDS[type(event)]


def _agents(event: AnyEvent) -> Sequence[str | None]:
    if isinstance(event, Change):  # of a finding: whose run it was noticed in
        return (event.subject, *map(event.detail.get, ("agent", "agent_name")))
    return (event.agent, event.agent_name)


def _users(event: AnyEvent) -> Sequence[str]:
    if isinstance(event, Change):
        return (event.actor.removeprefix("user:"), event.detail.get("user", ""))
    return event.chain


def _verdict(event: AnyEvent) -> str | None:
    return event.decision.verdict if isinstance(event, Intent | Refusal | Hold) else None


def _codes(event: AnyEvent) -> Sequence[str]:
    match event:
        case Outcome():
            return (event.status.value, event.error)
        case Intent() | Refusal() | Hold():
            return (event.decision.code,)
        case Change() | Observation():
            return (event.what,)
