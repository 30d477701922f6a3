"""What a plane does with what other planes have changed, and with planes that have died."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, final

from ringfence.app.group import Beginning
from ringfence.app.recovery import first_limits
from ringfence.app.shared_across import SharedAcross
from ringfence.app.sharing import Sharing
from ringfence.app.storage import Storage
from ringfence.app.stores import charged_by, made_whole
from ringfence.app.supervisor import Supervisor
from ringfence.domain.agent import AgentState, StoreFailure
from ringfence.domain.credential import AgentCredential
from ringfence.domain.error import RingfenceError, UsageError
from ringfence.domain.organisation import Configuration
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.ledger.charged import Totals
from ringfence.stores.plane import DEAD_S, ChangeKind, Member, News, StateNote
from ringfence.stores.secret.stored import SPACE
from ringfence.stores.state.grant import Grant
from ringfence.stores.state.store import StateStore
from ringfence.transport.clock import Clock

_LOG = logging.getLogger(__name__)

_LOOK_S: Final = 1.0
_TOKENS: Final = frozenset({ChangeKind.CREDENTIAL, ChangeKind.USER_TOKEN})
_CONCLUDE_S: Final = 5.0
_ROUNDED_US: Final = 2_000_000
"""How far apart the clocks of two planes may be (`app.sharing`)."""


@dataclass(frozen=True, slots=True)
class _Found:
    """How what has changed is now."""

    credentials: list[AgentCredential] = field(default_factory=list)
    states: list[tuple[str, str, AgentState]] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)


@final
class Hearing:
    """Implements `app.sharing.Hearer`, and recovers planes that have died."""

    def __init__(  # noqa: PLR0913 (everything that a change of another plane reaches)
        self,
        *,
        sharing: Sharing,
        storage: Storage,
        state: StateStore,
        keys: SigningKeys,
        clock: Clock,
        beginning: Beginning,
        secrets: Callable[[], Awaitable[Awaitable[None]]],
    ) -> None:
        """`beginning` is what this plane has begun with.

        `secrets` fetches what is stored and sends it; what that gives ends when workers obey.
        """
        self._secrets = secrets
        self._sharing = sharing
        self._storage = storage
        self._state = state
        self._keys = keys
        self._clock = clock
        self._recovered = beginning.recovered
        self._logs = beginning.logs
        self._granted = {grant.id for grant in beginning.grants}
        self._looking: asyncio.Task[None] | None = None

    async def begin(self, supervisor: Supervisor, across: SharedAcross) -> None:
        """Take a place among the planes: know their runs, prove what earlier lives have spent.

        Raises RingfenceError.
        """
        self._supervisor, self._across = supervisor, across
        others = [each for each in self._sharing.others() if each.silent_s < DEAD_S]
        is_alone = all(self._storage.owns(each.plane) for each in others)
        await across.join(self._recovered.invocations if is_alone else ())
        await across.lose_planes(self._storage.owns)  # earlier lives of this plane: it has none yet
        limits = self._sharing.shares.limits
        if is_alone and await self._sharing.in_thread("limits", limits.is_empty):
            charged = await asyncio.to_thread(
                first_limits, self._storage, self._recovered, self._clock.now_us()
            )
            for log, totals in charged.items():
                await across.prove_log(log, totals, begins=True)
        for log in await self._sharing.in_thread("limits", limits.logs):
            if self._storage.owns(log):
                await across.prove_log(log, await asyncio.to_thread(self._charged, log))
        for member in self._sharing.others():
            if self._storage.owns(member.plane):
                await self._sharing.remove(member.plane, is_sure=True)
        await self._sharing.begin(self)
        self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Free what this plane's workers held; they have ended."""
        if self._looking is None:
            self._sharing.is_concluded = True
            return
        self._looking.cancel()
        await asyncio.wait({self._looking})
        try:
            async with asyncio.timeout(_CONCLUDE_S):
                for log in self._logs:
                    await self._make_whole(log)
        except (RingfenceError, TimeoutError) as error:
            _LOG.warning("what this plane's workers held is left to other planes: %s", error)
        else:
            self._sharing.is_concluded = True
        await self._across.close()

    # `Hearer`

    async def hear(self, news: News, /) -> Awaitable[None]:
        """Read what has changed, and send it in one turn."""
        found = _Found()
        if news.state:
            found = await asyncio.to_thread(self._read, news)
        self._across.replica.take(news.runs)
        for grant in found.grants:
            if grant.id not in self._granted:
                self._granted.add(grant.id)
                self._across.grant(grant)
        sent: list[Awaitable[None]] = []
        if any(_is_of_people(note) for note in news.state):
            sent.append(await self._secrets())
        sent += [self._supervisor.send_state(*each) for each in found.states]
        if found.credentials:
            sent.append(self._supervisor.send_credentials(found.credentials))
        return _all([*sent, self._across.obeyed()])

    def renew(self) -> None:
        """Give the workers authority for as long as this plane has it."""
        self._supervisor.renew()

    def called(self, words: bytes, /) -> None:
        """Another plane says something."""
        self._across.hear(words)

    # Within

    def _read(self, news: News) -> _Found:
        found = _Found()
        subjects: dict[tuple[ChangeKind, str], set[str]] = defaultdict(set)
        for note in news.state:
            kind = ChangeKind.CREDENTIAL if note.kind in _TOKENS else note.kind
            subjects[kind, note.organisation].add(note.subject)
        for (kind, organisation), ids in subjects.items():
            match kind:
                case ChangeKind.AGENT:
                    states = self._state.agents.states(organisation)
                    found.states.extend(
                        (organisation, agent, states[agent]) for agent in ids if agent in states
                    )
                case ChangeKind.GRANT:
                    grants = self._state.grants.list(organisation)
                    found.grants.extend(each for each in grants if each.id in ids)
                case ChangeKind.SECRET:
                    pass  # read by whoever uses them
                case _:
                    found.credentials.extend(self._credentials(organisation, ids, news.now_us))
        return found

    def _credentials(
        self, organisation: str, ids: set[str], there_us: int
    ) -> Iterator[AgentCredential]:
        """What ended by the clock of whoever ended it has ended here, whatever the time is here."""
        now_us = self._clock.now_us()
        for each in self._state.tokens.named(organisation, ids):
            ends_us = each.revoked_us
            if ends_us is not None and now_us < ends_us <= max(now_us, there_us) + _ROUNDED_US:
                yield replace(each, revoked_us=now_us)
            else:
                yield each

    async def _look(self) -> None:
        """Recover whoever has died, as long as this plane runs."""
        while True:
            await asyncio.sleep(_LOOK_S)
            steady_us = self._clock.monotonic_us() - self._sharing.steady_us
            if steady_us < DEAD_S * 1e6:
                continue  # perhaps nobody could be heard of
            for member in self._sharing.others():
                if member.silent_s < DEAD_S or member.keeps_journal:
                    continue
                try:
                    await self._recover(member)
                except UsageError as error:
                    if error.code != "log_in_use":
                        _LOG.error("plane %s cannot be recovered: %s", member.plane, error)
                except RingfenceError as error:
                    _LOG.error("plane %s cannot be recovered yet: %s", member.plane, error)

    async def _recover(self, member: Member) -> None:
        """Make every log of a dead plane whole, and count what it proves.

        Raises UsageError `log_in_use` while one of its processes lives.
        """
        for log in (member.plane, *member.logs):
            for action in await self._proven(log):
                _LOG.warning(
                    "an action of another plane has no known outcome", extra={"act": action}
                )
        await self._across.lose_planes(member.plane.__eq__)
        await self._sharing.remove(member.plane)
        _LOG.warning("plane %s has died and was recovered", member.plane)

    async def _make_whole(self, log: str) -> None:
        for action in await self._proven(log):
            _LOG.warning("an action has no known outcome", extra={"act": action})

    async def _proven(self, log: str) -> list[str]:
        """Make a log whole and count what it proves, before anybody can write it again.

        Gives the actions whose outcome is unknown. Raises as `made_whole`.
        """
        loop = asyncio.get_running_loop()

        def work() -> list[str]:
            with made_whole(self._storage, log, self._keys, self._clock.now_us()) as found:
                proving = self._across.prove_log(log, found.charged)
                asyncio.run_coroutine_threadsafe(proving, loop).result()
                return found.unknown

        return await asyncio.to_thread(work)

    def _charged(self, log: str) -> Totals:
        return charged_by(self._storage, log, self._clock.now_us())


def _is_of_people(note: StateNote) -> bool:
    """Whether a stored secret has changed that people have named; others are read when needed."""
    return note.kind is ChangeKind.SECRET and note.subject.startswith(f"{SPACE}/")


def keeps_journal(configuration: Configuration) -> bool:
    """Whether some agent may go on while the database is away."""
    return any(
        agent.on_store_failure is StoreFailure.OPEN
        for organisation in configuration.organisations.values()
        for agent in organisation.agents.values()
    )


async def _all(waiting: Sequence[Awaitable[None]]) -> None:
    await asyncio.gather(*waiting)
