"""One open invocation as it runs: its counts, its accounts and whether it must end."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, final

from ringfence.decisions import charge, limit, reason
from ringfence.decisions.limit import NOTHING_COUNTED, Counted, TreeCounts
from ringfence.decisions.loop import Repetition
from ringfence.decisions.reservation import Demand
from ringfence.decisions.retry import Failing
from ringfence.decisions.rights import Patterns
from ringfence.domain.agent import AgentState
from ringfence.domain.event import Intent, Outcome
from ringfence.domain.invocation import Invocation, InvocationState
from ringfence.domain.money import Money
from ringfence.domain.organisation import Configuration
from ringfence.domain.verdict import Reason, Refused
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.runtime import AgentRuntime

_OPEN: Final = InvocationState.OPEN
_ACTIVE: Final = AgentState.ACTIVE
"""By the name of their class they cost a call each, and every action asks several times."""


@dataclass(frozen=True, slots=True)
class Forms:
    """Events of one invocation with everything filled in that does not change from call to call.

    Valid for one caller and one epoch. Copied and completed; never written themselves.
    """

    caller: Caller
    configuration: Configuration | None
    intent: Intent
    outcome: Outcome


AccountName = tuple[str, str, str]
"""Scope, holder and period of an account, as events spell them."""


Opening: TypeAlias = tuple[tuple[int, bytes, bytes], ...]
"""By what a conversation is known again: length, beginning and end of its first messages."""


@final
class Conversation:
    """One conversation of an invocation: how far it was read, and how far it repeats itself."""

    __slots__ = ("noticed", "read", "repetition")

    def __init__(self) -> None:
        """Nothing read yet."""
        self.read = 0
        self.repetition = Repetition()
        self.noticed: frozenset[str] | None = None
        """The tools of the loop that has been noticed and goes on."""


class Running(Protocol):
    """A call of an invocation that is on its way."""

    def barred(self) -> Reason | None:
        """Why what it asked for may not be asked for any more."""

    def stop(self, why: Reason) -> None:
        """End it at once; harmless if it has ended."""

    def check(self, now_us: int) -> None:
        """End it if it has taken too long; `now_us` is monotonic."""


@final
class LiveInvocation:
    """An invocation while it is open, and for a while after, so that a closed one says so.

    `models` narrows the agent's scope; None means all of it. `tools`, `hosts` and `commands` are
    patterns, of each list of which one must match, beside the agent's own. `is_recorded` tells
    whether the ledger knows the invocation; the first event of an implicit one opens it there.
    """

    __slots__ = (
        "account_names",
        "chain",
        "children",
        "commands",
        "conversations",
        "counted",
        "demands",
        "demands_epoch",
        "failing",
        "forms",
        "hosts",
        "identity",
        "is_recorded",
        "last_us",
        "models",
        "narrowed",
        "parent",
        "proof",
        "running",
        "runtime",
        "state",
        "steps",
        "stopped",
        "token_digest",
        "tool_calls",
        "tools",
        "tree",
        "waiting",
    )

    def __init__(  # noqa: PLR0913 (what an invocation is opened with)
        self,
        identity: Invocation,
        runtime: AgentRuntime,
        *,
        parent: "LiveInvocation | None" = None,
        models: frozenset[str] | None = None,
        tools: tuple[Patterns, ...] = (),
        hosts: tuple[Patterns, ...] = (),
        commands: tuple[Patterns, ...] = (),
        narrowed: Money | None = None,
        proof: str = "",
    ) -> None:
        """Open; the tree is the parent's. `proof` is the id of a user token that it lives by."""
        self.identity = identity
        self.runtime = runtime
        self.waiting = 0
        """How many of its calls wait for people, with a client that waits for them."""
        self.parent = parent
        self.tree: TreeCounts = parent.tree if parent is not None else TreeCounts()
        self.children: list[LiveInvocation] = []
        if parent is not None:
            parent.children.append(self)
        self.chain: tuple[str, ...] = (*self._above(), runtime.id)
        self.proof = proof
        self.models = models
        self.tools = tools
        self.hosts = hosts
        self.commands = commands
        self.narrowed = narrowed
        self.state = InvocationState.OPEN
        self.stopped: Reason | None = None
        self.steps = 0
        self.last_us = identity.opened_us
        self.demands: tuple[Demand, ...] = ()
        self.counted: Counted = NOTHING_COUNTED
        self.account_names: tuple[AccountName, ...] = ()
        self.demands_epoch = -1
        self.forms: Forms | None = None
        self.is_recorded = False
        self.token_digest: bytes | None = None
        self.running: set[Running] = set()
        self.conversations: OrderedDict[Opening, Conversation] | None = None
        """How far its conversations repeat themselves; None until a tool has answered."""
        self.tool_calls: Conversation | None = None
        """The same of its tool calls, while no model call has shown a conversation."""
        self.failing: Failing | None = None
        """The request that failed last, if none has succeeded since."""

    def _above(self) -> tuple[str, ...]:
        """Who stands above this agent in the delegation chain."""
        if self.parent is not None:
            return self.parent.chain
        principal = self.runtime.principal
        return () if principal is None else (principal.id,)

    @contextmanager
    def waited_for(self) -> Iterator[None]:
        """A client waits until a person has answered: meanwhile it is not idle."""
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    @property
    def id(self) -> str:
        """The invocation's id."""
        return self.identity.id

    @property
    def root(self) -> str:
        """The id of the invocation at the top of the tree."""
        return self.identity.root

    @property
    def top(self) -> "LiveInvocation":
        """The invocation at the top of the tree, whose limits hold for all of it."""
        live = self
        while live.parent is not None:
            live = live.parent
        return live

    def rest(self) -> None:
        """It has ended: let go of what only calls need; thousands of ended ones are remembered."""
        self.forms = None
        self.demands, self.account_names, self.demands_epoch = (), (), -1
        self.children = []

    def know_accounts(self, epoch: int) -> None:
        """Compile what its calls draw on in an epoch, those above it first."""
        if self.parent is not None and self.parent.demands_epoch != epoch:
            self.parent.know_accounts(epoch)
        self.demands = charge.demands_for(
            self.runtime.plan,
            self.id,
            user=self.runtime.user,
            parent=self.parent.demands if self.parent is not None else (),
            narrowed=self.narrowed,
        )
        self.counted = limit.counted(
            self.identity.organisation, self.root, self.top.runtime.agent, self.runtime.user
        )
        self.account_names = tuple(
            (key.scope.value, key.holder, key.per.value)
            for key in [demand.key for demand in self.demands]
        )
        self.demands_epoch = epoch

    def closed_reason(self, now_us: int) -> Reason | None:
        """Why nothing more may happen in it; None while it is open, up to the top of its tree."""
        identity = self.identity
        ends_us = identity.deadline_us
        if self.state is not _OPEN:
            if self.stopped is not None:
                return self.stopped
            return reason.invocation_closed(self.runtime.agent, self.id)
        if self.parent is None and (ends_us is None or now_us < ends_us):
            return None
        over = limit.deadline(self.runtime.agent, identity.opened_us, ends_us, now_us)
        if over is not None:
            return over
        if self.parent is None:
            return None
        return state_reason(self.parent.runtime) or self.parent.closed_reason(now_us)

    def barred_reason(self) -> Reason | None:
        """Why nobody may act in it: the agent of this invocation, or of one above, is barred."""
        live: LiveInvocation | None = self
        while live is not None:
            why = state_reason(live.runtime)
            if why is not None:
                return why
            live = live.parent
        return None

    def end_calls(self, why: Reason) -> None:
        """Stop what is running, also where nothing arrives that would ask `stream_stop`."""
        for call in tuple(self.running):
            call.stop(why)

    def end_calls_out_of_scope(self) -> None:
        """Stop what is running at a model or a tool that a reload has taken away."""
        for call in tuple(self.running):
            why = call.barred()
            if why is not None:
                call.stop(why)

    def stream_stop(self, output_floor_tokens: int, reserved_tokens: int) -> Reason | None:
        """Why a stream of this invocation must end at once; cheap, asked for every chunk."""
        if self.runtime.state is not _ACTIVE:
            return state_reason(self.runtime)
        if self.parent is not None and (above := self.parent.barred_reason()) is not None:
            return above
        if self.state is not _OPEN:
            return self.stopped or reason.invocation_closed(self.runtime.agent, self.id)
        if output_floor_tokens > reserved_tokens:
            return reason.output_passed(self.runtime.agent, reserved_tokens)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusable:
    """A refusal that is still to be recorded; `live` is the invocation it belongs to, if any."""

    verdict: Refused
    live: LiveInvocation | None = None


def state_reason(runtime: AgentRuntime) -> Reason | None:
    """Why an agent is not admitted; None if it is active."""
    state = runtime.state
    if state is _ACTIVE:
        return None
    if runtime.is_barred and runtime.principal is not None:
        name = runtime.principal.name or runtime.principal.id
        return reason.user_unknown(runtime.agent, name)
    if state is AgentState.SUSPENDED:
        return reason.suspended(runtime.agent)
    return reason.retired(runtime.agent)
