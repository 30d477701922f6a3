"""What planes share, in memory: as the tables of a database are, with faults at will."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from ringfence.decisions.account import Account, Place
from ringfence.domain.budget import BudgetScope
from ringfence.domain.error import UnavailableError
from ringfence.domain.invocation import InvocationState
from ringfence.domain.lease import AccountState, Holder
from ringfence.stores.plane import GONE, Beat, Member, News, Run, RunNote

Result = TypeVar("Result")
_LIVING = {BudgetScope.INVOCATION, BudgetScope.TREE}


async def in_thread(work: Callable[[], Result]) -> Result:
    return await asyncio.to_thread(work)


class Commons:
    """The rows of one database."""

    def __init__(self) -> None:
        self.limits: dict[Place, tuple[int, AccountState]] = {}
        self.runs: dict[str, tuple[int, RunNote]] = {}
        self.batches: dict[str, int] = {}
        self.members: dict[str, Member] = {}
        self.listening: list[Callable[[str], None]] = []
        self.number = 0
        self.turn = threading.Lock()
        """One plane at a time changes the runs."""
        self.rows = threading.Lock()

    def enter(self, plane: str, *logs: str) -> None:
        self.batches[plane] = 0
        self.members[plane] = Member(
            plane=plane, logs=logs, epoch=1, configuration="c", silent_s=0.0, taken=10**9
        )

    def is_open(self, run: str) -> bool:
        known = self.runs.get(run)
        return known is not None and known[1].run.card.state is InvocationState.OPEN

    def account(self, place: Place) -> Account:
        return Account.of(self.limits[place][1])


class Faults:
    """What fails next: before it was done, or after, when only the answer is lost."""

    def __init__(self) -> None:
        self.before = 0
        self.after = 0
        self.is_away = False

    def begin(self) -> None:
        if self.is_away or self.before:
            self.before = max(0, self.before - 1)
            raise UnavailableError("store_unavailable", "the database is away")

    def end(self) -> None:
        if self.after:
            self.after -= 1
            raise UnavailableError("store_unavailable", "the answer is lost")


class MemoryLimits:
    """Implements `stores.plane.SharedLimits`."""

    def __init__(self, commons: Commons, plane: str) -> None:
        self.commons = commons
        self.plane = plane
        self.faults = Faults()
        self.writes = 0

    def read(self, places: Iterable[Place]) -> Mapping[Place, tuple[int, AccountState]]:
        self.faults.begin()
        asked = list(places)
        with self.commons.rows:
            for key, start_us in asked:
                is_due = key.scope not in _LIVING or self.commons.is_open(key.holder)
                if is_due and (key, start_us) not in self.commons.limits:
                    self.commons.limits[key, start_us] = (0, Account(key, start_us).state())
        return self.find(asked)

    def find(self, places: Iterable[Place]) -> Mapping[Place, tuple[int, AccountState]]:
        with self.commons.rows:
            limits = self.commons.limits
            return {place: limits[place] for place in places if place in limits}

    def write(self, batch: int, states: Iterable[tuple[int, AccountState]]) -> bool:
        self.faults.begin()
        asked = list(states)
        with self.commons.rows:
            limits, batches = self.commons.limits, self.commons.batches
            places = [(state.key, state.start_us) for _, state in asked]
            is_so = all(
                place in limits and limits[place][0] == version
                for place, (version, _) in zip(places, asked, strict=True)
            )
            if not is_so or batches.get(self.plane, GONE) >= batch or self.plane not in batches:
                return False
            for place, (version, state) in zip(places, asked, strict=True):
                limits[place] = (version + 1, state)
            batches[self.plane] = batch
            self.writes += 1
        self.faults.end()
        return True

    def written(self) -> int:
        self.faults.begin()
        return self.commons.batches.get(self.plane, GONE)

    def of_log(self, log: Holder) -> Mapping[Place, tuple[int, AccountState]]:
        return {
            place: row
            for place, row in self.commons.limits.items()
            if log in Account.of(row[1]).holders()
        }

    def logs(self) -> frozenset[str]:
        rows = self.commons.limits.values()
        return frozenset(log for _, state in rows for log in Account.of(state).holders())

    def standing(self, organisation: str) -> Sequence[AccountState]:
        rows = self.commons.limits.values()
        return [state for _, state in rows if state.key.organisation == organisation]

    def is_empty(self) -> bool:
        return not self.commons.limits

    def close(self) -> None: ...


class MemoryRuns:
    """Implements `stores.plane.SharedRuns`."""

    def __init__(self, commons: Commons, plane: str) -> None:
        self.commons = commons
        self.plane = plane
        self.faults = Faults()
        self._has_turn = False

    def begin(self, since: int) -> tuple[int, Sequence[RunNote]]:
        self.faults.begin()
        assert self.commons.turn.acquire(timeout=5)
        self._has_turn = True
        return self._since(since)

    def commit(self, runs: Iterable[Run], *, is_durable: bool) -> int:
        del is_durable
        self.faults.begin()
        for run in runs:
            self.commons.number += 1
            identity = run.card.identity
            note = RunNote(plane=self.plane, run=run)
            self.commons.runs[identity.id] = (self.commons.number, note)
            if run.card.state is not InvocationState.OPEN:
                for place in [at for at in self.commons.limits if at[0].holder == identity.id]:
                    del self.commons.limits[place]
        self.rollback()
        self.faults.end()
        return self.commons.number

    def rollback(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self.commons.turn.release()

    def all(self) -> tuple[int, Sequence[RunNote]]:
        return self._since(0)

    def close(self) -> None:
        self.rollback()

    def _since(self, since: int) -> tuple[int, Sequence[RunNote]]:
        rows = sorted(self.commons.runs.values(), key=lambda row: row[0])
        return self.commons.number, [note for number, note in rows if number > since]


class MemoryMembership:
    """Implements `stores.plane.Membership`."""

    def __init__(self, commons: Commons, plane: str) -> None:
        self.commons = commons
        self.plane = plane
        self.faults = Faults()
        self.ahead_us = 0
        self.left: list[str] = []
        self.beats: list[int] = []
        """What was told as taken, beat by beat."""

    def join(self, logs: Sequence[str], configuration: str, patience_s: float) -> News:
        del configuration, patience_s
        self.commons.enter(self.plane, *logs)
        return self._news(self.commons.number)

    def beat(self, since: int, said: Beat) -> News:
        self.faults.begin()
        self.beats.append(said.taken)
        known = self.commons.members.get(self.plane)
        if known is not None:
            self.commons.members[self.plane] = Member(
                plane=self.plane,
                logs=known.logs,
                epoch=said.epoch,
                configuration=said.configuration,
                silent_s=0.0,
                taken=said.taken,
                keeps_journal=said.keeps_journal,
            )
        return self._news(since)

    def members(self) -> Sequence[Member]:
        return list(self.commons.members.values())

    def head(self) -> int:
        self.faults.begin()
        return self.commons.number

    def leave(self, plane: str, *, is_sure: bool) -> None:
        del is_sure
        self.left.append(plane)
        self.commons.members.pop(plane, None)

    def tidy(self) -> None: ...

    def say(self, words: str) -> None:
        for hear in list(self.commons.listening):
            hear(words)

    def listen(self, hear: Callable[[str], None]) -> Callable[[], None]:
        self.commons.listening.append(hear)
        return lambda: self.commons.listening.remove(hear)

    def close(self) -> None: ...

    def _news(self, since: int) -> News:
        rows = sorted(self.commons.runs.values(), key=lambda row: row[0])
        return News(
            head=self.commons.number,
            state=[],
            runs=[note for number, note in rows if number > since],
            members=self.members(),
            now_us=time.time_ns() // 1000 + self.ahead_us,
        )


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0.002)


async def soon(true: Callable[[], bool]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 (what is waited for tells nobody)
            await asyncio.sleep(0.005)
