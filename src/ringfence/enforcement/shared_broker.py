"""The broker of limits that several planes share: decided in memory, written all at once.

What one plane decides is written in place of the very state that it was decided on, or decided
again: no plane waits for another, and none is overruled (design note 018).
"""

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar, cast, final

from ringfence.decisions.account import Place
from ringfence.decisions.lease import Broker
from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.lease import AccountState, Holder
from ringfence.stores.plane import GONE, SharedLimits

_TOGETHER: Final = 64
"""How many decisions are written at once."""
_AGAIN_S: Final = 0.25

Result = TypeVar("Result")
InThread = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs what blocks; in the order in which it is asked."""


@dataclass(frozen=True, slots=True)
class _Ask:
    begun: tuple[Place, ...]
    """Begun if there are none."""
    found: tuple[Place, ...]
    """Of interest only if there are."""
    decide: Callable[[], object]
    answer: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Try:
    results: Sequence[object]
    states: Sequence[tuple[int, AccountState]]


@final
class SharedBroker:
    """Lets decisions of a broker hold for all planes; used by one event loop.

    INVARIANT: a decision is made on what the rows say and counts only if it was written; one whose
    writing was lost on the way is never made twice, for the rows say which was the last.
    """

    def __init__(self, limits: SharedLimits, in_thread: InThread) -> None:
        """Nothing is known yet."""
        self.broker = Broker(is_shared=True)
        self.conflicts = 0
        """How often another plane was faster."""
        self._limits = limits
        self._in_thread = in_thread
        self._versions: dict[Place, int] = {}
        self._asked: list[_Ask] = []
        self._running: asyncio.Task[None] | None = None
        self._number = 0
        self._is_closed = False

    async def decide(
        self,
        begun: Iterable[Place],
        decide: Callable[[], Result],
        found: Iterable[Place] = (),
    ) -> Result:
        """Have something decided that concerns these accounts.

        Those of `begun` are begun if there are none, those of `found` stay unknown then. `decide`
        asks the broker and never waits; it may be called several times. Raises UnavailableError
        `plane_gone`, `plane_closing`.
        """
        if self._is_closed:
            raise _closing()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked.append(_Ask(tuple(begun), tuple(found), decide, answer))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return cast("Result", await asyncio.shield(answer))

    async def places_of(self, log: Holder) -> Sequence[Place]:
        """Every account of which a log's writer has or had something. Raises UnavailableError."""
        return tuple(await self._in_thread(partial(self._limits.of_log, log)))

    async def standing(self, organisation: str) -> Sequence[AccountState]:
        """Every account of an organisation. Raises UnavailableError."""
        return cast(
            "Sequence[AccountState]",
            await self._in_thread(partial(self._limits.standing, organisation)),
        )

    def forget(self, invocation: str) -> None:
        """Drop the accounts of an ended run from the picture; their rows end with it."""
        self.broker.forget(invocation)

    async def close(self) -> None:
        """Write what was asked, if that can be done soon."""
        if self._running is not None:
            await asyncio.wait({self._running}, timeout=2 * _AGAIN_S)
        self._is_closed = True
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        for ask in self._asked:
            _fail(ask, _closing())

    async def _run(self) -> None:
        while self._asked:
            now, self._asked = self._asked[:_TOGETHER], self._asked[_TOGETHER:]
            try:
                results = await self._together(now)
            except RingfenceError as error:
                for ask in now:
                    _fail(ask, error)
            except asyncio.CancelledError:
                for ask in now:
                    _fail(ask, _closing())
                raise
            else:
                for ask, result in zip(now, results, strict=True):
                    _give(ask, result)

    async def _together(self, asks: Sequence[_Ask]) -> Sequence[object]:
        """Decide and write until it holds; while the database is away, for as long as that lasts.

        Nothing here may be given up: what workers report is known to nobody else.
        """
        tried: dict[int, _Try] = {}
        while True:
            try:
                if tried and (last := await self._written()) in tried:
                    self._drop(asks)
                    return tried[last].results
                await self._fetch(asks)
                made = self._try(asks)
                if not made.states:
                    return made.results
                self._number += 1
                tried[self._number] = made
                if await self._write(self._number, made):
                    return made.results
            except UnavailableError as error:
                self._drop(asks)
                if error.code == "plane_gone":
                    raise
                await asyncio.sleep(_AGAIN_S)
            else:
                self.conflicts += 1
                self._drop(asks)

    async def _written(self) -> int:
        last = int(await self._in_thread(self._limits.written))
        if last == GONE:
            raise UnavailableError(
                "plane_gone",
                "another plane has taken this one for dead and recovered it",
                help="start it again",
            )
        return last

    async def _fetch(self, asks: Sequence[_Ask]) -> None:
        """Know every account that is asked about, or that it does not exist; the last look counts.

        A run's account that cannot be begun belongs to one that has ended: nothing is lent to it.
        """
        absent: set[Place] = set()
        while True:
            begun = self._unknown(asks, absent, begins=True)
            others = self._unknown(asks, absent, begins=False)
            if not begun and not others:
                return
            read, places = (self._limits.read, begun) if begun else (self._limits.find, others)
            found = await self._in_thread(partial(read, places))
            for place in places:
                if place in found:
                    version, state = found[place]
                    self.broker.put(state)
                    self._versions[place] = version
                else:
                    absent.add(place)
                    if begun:
                        self.broker.forget(place[0].holder)

    def _unknown(
        self, asks: Sequence[_Ask], absent: Container[Place], *, begins: bool
    ) -> list[Place]:
        asked = [place for ask in asks for place in (ask.begun if begins else ask.found)]
        return [
            place
            for place in dict.fromkeys(asked)
            if place not in absent and not self.broker.knows(place)
        ]

    def _try(self, asks: Sequence[_Ask]) -> _Try:
        places = {place for place in _places(asks) if self.broker.knows(place)}
        before = {place: self.broker.state(place) for place in places}
        results = [ask.decide() for ask in asks]
        states = [
            (self._versions[place], after)
            for place in places
            if self.broker.knows(place) and (after := self.broker.state(place)) != before[place]
        ]
        return _Try(results, states)

    async def _write(self, number: int, made: _Try) -> bool:
        states = made.states
        is_done: bool = await self._in_thread(partial(self._limits.write, number, states))
        if is_done:
            for version, state in states:
                self._versions[state.key, state.start_us] = version + 1
        return is_done

    def _drop(self, asks: Sequence[_Ask]) -> None:
        self.broker.drop(_places(asks))


def _places(asks: Iterable[_Ask]) -> Iterable[Place]:
    return (place for ask in asks for place in (*ask.begun, *ask.found))


def _give(ask: _Ask, result: object) -> None:
    if not ask.answer.done():
        ask.answer.set_result(result)


def _fail(ask: _Ask, error: RingfenceError) -> None:
    if not ask.answer.done():
        ask.answer.set_exception(error)
        ask.answer.exception()  # who has gone need not be told


def _closing() -> UnavailableError:
    return UnavailableError("plane_closing", "this plane is ending")
