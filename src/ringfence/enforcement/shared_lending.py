"""Lending where several planes share limits: slabs come from rows, and idle ones from any plane."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Container, Coroutine, Iterable, Mapping, Sequence
from typing import Final, Protocol, final

import msgspec

from ringfence.decisions.account import Account, Place
from ringfence.decisions.lease import Asked, asked_by
from ringfence.decisions.period import Line
from ringfence.domain.budget import AccountKey, Unit
from ringfence.domain.error import UnavailableError
from ringfence.domain.lease import (
    Charged,
    Holder,
    Recall,
    Report,
    Returned,
    Spent,
    Take,
    Taken,
    Want,
)
from ringfence.enforcement.lending import RECALL_S, AskBack
from ringfence.enforcement.shared_broker import SharedBroker
from ringfence.transport.clock import Clock

AFAR_S: Final = 1.0
"""How long a worker of another plane may take to give idle slabs back."""
_TAKE_S: Final = 2.0
"""How long a worker waits for slabs before its call is refused."""
_ACCOUNTS_SAID: Final = 24
"""Accounts in one message between planes: PostgreSQL carries 8,000 bytes."""
_SHORT: Final = Taken(slabs=(), is_short=True)


class CallBack(msgspec.Struct, frozen=True, kw_only=True, tag="call_back"):
    """A plane asks whoever has the writer of that log for what is idle; see `CalledBack`."""

    number: str
    log: Holder
    accounts: tuple[Place, ...]


class CalledBack(msgspec.Struct, frozen=True, tag="called_back"):
    """What was idle is in the rows again."""

    number: str


class Elsewhere(Protocol):
    """What a plane knows of those who hold slabs: which are its own, and which live elsewhere."""

    def is_own(self, holder: Holder, /) -> bool:
        """Whether it is a worker of this plane."""

    def is_live(self, holder: Holder, /) -> bool:
        """Whether it is a worker of another plane that was heard of just now."""

    def say(self, words: bytes, /) -> None:
        """Send words to all planes."""


@final
class SharedLending:
    """What `enforcement.lending.Lending` is for one plane; a holder is the writer of one log."""

    def __init__(
        self, shared: SharedBroker, clock: Clock, ask_back: AskBack, elsewhere: Elsewhere, name: str
    ) -> None:
        """`name` is the plane's, unlike any other's."""
        self.shared = shared
        self._clock = clock
        self._ask_back = ask_back
        self._elsewhere = elsewhere
        self._numbers = (f"{name} {count}" for count in itertools.count(1))
        self._awaited: dict[str, asyncio.Future[None]] = {}
        self._lives: Counter[Holder] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self.taken = 0
        self.recalled = 0

    def totals(self) -> dict[str, int]:
        """The traffic of leases, by the names that metrics have."""
        return {"slab_takes": self.taken, "slab_recalls": self.recalled}

    async def take(self, holder: Holder, take: Take) -> Taken:
        """Answer a worker; nobody is refused while others hold idle slabs, on any plane.

        Raises UnavailableError if the database does not answer in time; what it lends later is
        given back.
        """
        self.taken += 1
        taking = asyncio.create_task(self._take(holder, take))
        done, _ = await asyncio.wait({taking}, timeout=_TAKE_S)
        if done:
            return taking.result()
        taking.add_done_callback(lambda late: self._return(holder, late))
        raise UnavailableError("store_unavailable", "limits are not lent in time")

    def report(self, holder: Holder, report: Report) -> None:
        """Count what a worker has spent and gives back."""
        if report.spent or report.returned:
            self._spawn(self._report(holder, report))

    def died(self, holder: Holder) -> None:
        """A worker of this plane has ended: what it held counts as spent until `prove`."""
        self._lives[holder] += 1
        self.shared.broker.died(holder)

    async def prove(
        self, holder: Holder, charged: Sequence[Charged], *, begins: bool = False
    ) -> None:
        """A log that nobody writes was made whole, and this is what it has charged in all.

        `begins` is for a database in which no plane has shared limits before. Raises
        UnavailableError.
        """
        named = [(each.key, each.window_start_us) for each in charged]
        places = {*await self.shared.places_of(holder), *(named if begins else ())}
        # What else is in the picture may be there for others, and would not be written.
        said = [each for each in charged if (each.key, each.window_start_us) in places]
        recalls = await self.shared.decide(
            named if begins else (),
            lambda: self.shared.broker.prove(holder, said, self._clock.now_us()),
            places,
        )
        self._recall(recalls)

    async def standing(self, organisation: str, units: Container[Unit]) -> Sequence[Line]:
        """Every account of an organisation in a window that is not over."""
        now_us = self._clock.now_us()
        return [
            account.line()
            for account in map(Account.of, await self.shared.standing(organisation))
            if account.key.unit in units
            and (account.end_us in {None, account.start_us} or (account.end_us or 0) > now_us)
        ]

    def grant(self, key: AccountKey, window_start_us: int, amount: int) -> None:
        """Raise the limit of one account in one window, on this plane and in the row."""
        self.shared.broker.grant(key, window_start_us, amount)

    async def rest(self) -> None:
        """Return when what was reported before has been counted, or nearly."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=RECALL_S)

    def hear(self, said: CallBack | CalledBack) -> None:
        """Take what a plane says; what is meant for another is ignored."""
        if isinstance(said, CalledBack):
            waiting = self._awaited.get(said.number)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        elif self._elsewhere.is_own(said.log):
            self._spawn(self._called_back(said))

    async def close(self) -> None:
        """Let go of what is under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.shared.close()

    async def _take(self, holder: Holder, take: Take) -> Taken:
        life = self._lives[holder]
        broker = self.shared.broker
        wanted, said = _places(take.wants), _said(take.report)

        def first() -> Taken | Mapping[Holder, Recall]:
            if self._lives[holder] != life:
                return _SHORT
            return broker.take(holder, take, self._clock.now_us())

        def again() -> Taken | Mapping[Holder, Recall]:
            if self._lives[holder] != life:
                return _SHORT
            return broker.take_again(holder, take, self._clock.now_us(), asked)

        asked: set[Asked] = set()
        answer = await self.shared.decide(wanted, first, said)
        while not isinstance(answer, Taken):
            asked |= asked_by(answer)
            recalling = self._recall(answer)
            if recalling:
                await asyncio.wait(recalling)
            answer = await self.shared.decide(wanted, again, said)
        return answer

    def _return(self, holder: Holder, late: asyncio.Task[Taken]) -> None:
        if late.cancelled() or late.exception() is not None:
            return
        slabs = late.result().slabs
        back = [Returned(each.key, each.window_start_us, each.amount) for each in slabs]
        self.report(holder, Report(returned=tuple(each for each in back if each.amount)))

    async def _report(self, holder: Holder, report: Report) -> None:
        life = self._lives[holder]

        def count() -> Mapping[Holder, Recall]:
            if self._lives[holder] != life:
                return {}
            return self.shared.broker.report(holder, report)

        self._recall(await self.shared.decide((), count, _said(report)))

    def _recall(self, recalls: Mapping[Holder, Recall]) -> set[asyncio.Task[None]]:
        """Ask back, each in its own time; an answer counts also if nobody waits any longer."""
        self.recalled += len(recalls)
        return {self._spawn(self._one(holder, recall)) for holder, recall in recalls.items()}

    async def _one(self, holder: Holder, recall: Recall) -> None:
        if self._elsewhere.is_own(holder):
            await asyncio.wait({self._spawn(self._own(holder, recall))}, timeout=RECALL_S)
        elif self._elsewhere.is_live(holder):
            accounts = recall.accounts
            parts = [
                accounts[at : at + _ACCOUNTS_SAID] for at in range(0, len(accounts), _ACCOUNTS_SAID)
            ]
            await asyncio.gather(*(self._afar(holder, part) for part in parts))

    async def _own(self, holder: Holder, recall: Recall) -> None:
        await self._report(holder, await self._ask_back(holder, recall))

    async def _afar(self, holder: Holder, accounts: tuple[Place, ...]) -> None:
        number = next(self._numbers)
        answered = self._awaited[number] = asyncio.get_running_loop().create_future()
        try:
            self._elsewhere.say(
                msgspec.json.encode(CallBack(number=number, log=holder, accounts=accounts))
            )
            await asyncio.wait({answered}, timeout=AFAR_S)
        finally:
            del self._awaited[number]
        # What was written there is not yet known here.
        self.shared.broker.drop(accounts)

    async def _called_back(self, said: CallBack) -> None:
        await self._own(said.log, Recall(said.accounts))
        self._elsewhere.say(msgspec.json.encode(CalledBack(said.number)))

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _places(named: Iterable[Want | Spent | Returned]) -> tuple[Place, ...]:
    return tuple(dict.fromkeys((each.key, each.window_start_us) for each in named))


def _said(report: Report) -> tuple[Place, ...]:
    return _places((*report.spent, *report.returned))


async def _quietly(work: Coroutine[None, None, None]) -> None:
    """What nobody waits for may fail: who has gone is told of by `died`."""
    with contextlib.suppress(UnavailableError):
        await work
