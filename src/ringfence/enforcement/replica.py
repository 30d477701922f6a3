"""The registry of runs where several planes share it: every plane has all of it.

One plane at a time changes it, having heard what the others have changed; so it decides as the one
registry of a plane alone does, with the same code (`enforcement.registry`).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast, final

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.invocation import InvocationState
from ringfence.domain.registry import Card
from ringfence.domain.sandbox import is_sandbox
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.registry import Registry
from ringfence.enforcement.shared_broker import InThread
from ringfence.enforcement.shared_invocations import SharedInvocations
from ringfence.stores.plane import RunNote, SharedRuns

_TOGETHER = 256
Result = TypeVar("Result")
OnLearnt = Callable[[Sequence[Card]], None]


@dataclass(frozen=True, slots=True)
class _Ask:
    decide: Callable[[], object]
    answer: asyncio.Future[Any]


@final
class Replica:
    """Keeps one plane's registry like all others; used by one event loop.

    INVARIANT: an answer is given when the other planes can read what it rests on, and what could
    not be written never was.
    """

    def __init__(  # noqa: PLR0913 (what it joins together)
        self,
        *,
        registry: Registry,
        invocations: SharedInvocations,
        runs: SharedRuns,
        plane: str,
        in_thread: InThread,
        on_learnt: OnLearnt,
    ) -> None:
        """`on_learnt` is told of runs with a token that other planes have opened."""
        self._registry = registry
        self._invocations = invocations
        self._runs = runs
        self._plane = plane
        self._in_thread = in_thread
        self._on_learnt = on_learnt
        self._since = 0
        self._asked: list[_Ask] = []
        self._running: asyncio.Task[None] | None = None
        self._unknown: dict[str, RunNote] = {}
        """Runs of agents that this plane's configuration does not know, until it does."""
        self._serving: dict[str, str] = {}
        """By sandbox, the plane that serves it: nobody else can do anything in its run."""

    async def load(self) -> None:
        """Know every run that there is. Raises UnavailableError."""
        self._since, notes = await self._in_thread(self._runs.all)
        self.take(notes, is_all=True)

    async def decide(self, decide: Callable[[], Result]) -> Result:
        """Have something decided about runs. Raises UnavailableError; then nothing has changed."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked.append(_Ask(decide, answer))
        self.soon()
        return cast("Result", await asyncio.shield(answer))

    def soon(self) -> None:
        """Tell the other planes what has changed here, as soon as it is one's turn."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())

    def take(self, notes: Iterable[RunNote], *, is_all: bool = False) -> None:
        """Know what other planes have done; what was known before is no harm."""
        cards: list[Card] = []
        for note in sorted(notes, key=lambda each: each.run.card.identity.depth):
            identity = note.run.card.identity
            self._note_sandbox(note)
            is_own = note.plane == self._plane and not is_all
            if is_own and self._invocations.find(identity.id) is not None:
                continue
            if not self._invocations.is_known(identity.agent):
                self._unknown[identity.id] = note
                continue
            live = self._invocations.learn(note.run)
            if live is not None:
                self._registry.learned(note.run.card)
                if live.token_digest is not None:
                    cards.extend(self._registry.cards(live))
        if cards:
            self._on_learnt(cards)

    def sandboxes_of(self, is_meant: Callable[[str], bool]) -> set[str]:
        """The sandboxes that nobody has ended of planes that are meant, by the plane's name."""
        return {sandbox for sandbox, plane in self._serving.items() if is_meant(plane)}

    def configured(self) -> None:
        """There is a new configuration: it may name agents that were unknown."""
        unknown, self._unknown = self._unknown, {}
        self.take(unknown.values(), is_all=True)

    async def close(self) -> None:
        """Write what has changed, if that can be done soon."""
        self.soon()
        if self._running is not None:
            await asyncio.wait({self._running}, timeout=1.0)
            self._running.cancel()
            await asyncio.wait({self._running})
        for ask in self._asked:
            _fail(ask, UnavailableError("plane_closing", "this plane is ending"))

    def _note_sandbox(self, note: RunNote) -> None:
        identity, state = note.run.card.identity, note.run.card.state
        if not is_sandbox(identity.credential) or identity.parent:
            return
        if state is InvocationState.OPEN:
            self._serving[identity.credential] = note.plane
        else:
            self._serving.pop(identity.credential, None)

    async def _run(self) -> None:
        while self._asked or self._invocations.changed:
            now, self._asked = self._asked[:_TOGETHER], self._asked[_TOGETHER:]
            try:
                results = await self._together(now)
            except RingfenceError as error:
                for ask in now:
                    _fail(ask, error)
                return  # whoever asks next, or the next tidying up, tries again
            except asyncio.CancelledError:
                for ask in now:
                    _fail(ask, UnavailableError("plane_closing", "this plane is ending"))
                raise
            for ask, result in zip(now, results, strict=True):
                _give(ask, result)

    async def _together(self, asks: Sequence[_Ask]) -> Sequence[object]:
        try:
            self._since, notes = await self._in_thread(partial(self._runs.begin, self._since))
        except BaseException:
            await self._in_thread(self._runs.rollback)
            raise
        self.take(notes)
        self._invocations.opened = []
        results = [_decided(ask) for ask in asks]
        opened, changed = self._invocations.opened, self._invocations.changed
        self._invocations.changed = {}
        runs = [self._invocations.run(live, self._registry.card(live)) for live in changed.values()]
        is_durable = bool(opened) or any(_has_ended(live) for live in changed.values())
        try:
            await self._in_thread(partial(self._runs.commit, runs, is_durable=is_durable))
        except BaseException:
            for live in opened:
                self._invocations.undo(live)
            self._invocations.changed = {**changed, **self._invocations.changed}
            await self._in_thread(self._runs.rollback)
            raise
        return results


def _has_ended(live: LiveInvocation) -> bool:
    return live.state is not InvocationState.OPEN


def _decided(ask: _Ask) -> object:
    try:
        return ask.decide()
    except Exception as error:  # noqa: BLE001 (one that fails is no reason to refuse the others)
        return error


def _give(ask: _Ask, result: object) -> None:
    if ask.answer.done():
        return
    if isinstance(result, Exception):
        ask.answer.set_exception(result)
    else:
        ask.answer.set_result(result)


def _fail(ask: _Ask, error: RingfenceError) -> None:
    if not ask.answer.done():
        ask.answer.set_exception(error)
        ask.answer.exception()  # who has gone need not be told
