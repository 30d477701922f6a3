"""One plane among the planes of a database: heard of and hearing, a few times a second."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Protocol, TypeVar, final

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.lease import Holder
from ringfence.enforcement.authority import LEASE_US, RENEW_S
from ringfence.stores.plane import DEAD_S, Beat, Member, News, Shares
from ringfence.transport.clock import Clock

_LOG = logging.getLogger(__name__)

_LIVE_S: Final = 1.5
"""Who was not heard of for so long is not asked for idle slabs: it would be waited for in vain."""
_ALONE_US: Final = 15_000_000
"""How long the only plane of a database acts without it: streams outlive a server's restart."""
_LOOK_S: Final = 0.5
_SKEW_US: Final = 2_000_000
"""How far the clocks of a plane and its database may differ before it is said."""
_PATIENCE_S: Final = 0.05

Result = TypeVar("Result")


class Hearer(Protocol):
    """What a plane does with what it hears."""

    async def hear(self, news: News, /) -> Awaitable[None]:
        """Send every change to the workers in one turn; what it gives ends when they obey.

        Raises RingfenceError if what has changed cannot be read; then nothing was sent.
        """

    def renew(self) -> None:
        """Give the workers authority for as long as this plane has it."""

    def called(self, words: bytes, /) -> None:
        """Another plane says something."""


@final
class Sharing:
    """A plane's place among others; used by one event loop.

    INVARIANT: `fresh_until_us` is at most one second after a moment before which this plane has
    read, and sent to its workers, everything that any plane had taken back by then (note 018).
    So whoever takes something back need wait for no plane longer than that second.
    """

    def __init__(self, shares: Shares, clock: Clock) -> None:
        """Not among the planes yet."""
        self.shares = shares
        self.fresh_until_us = 0
        self.members: Sequence[Member] = ()
        self.epoch = 0
        self.configuration = ""
        self.keeps_journal = False
        """Whether some agents may go on while the database is away (`on_store_failure: open`)."""
        self.is_concluded = False
        """Whether nothing of this plane is left for others to recover."""
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._head = 0
        self._taken = 0
        self._said = 0
        self._trouble = ""
        self._hearer: Hearer | None = None
        self.steady_us = 0
        """Since when every beat has succeeded; monotonic."""
        self._threads = {name: ThreadPoolExecutor(1, f"planes-{name}") for name in _THREADS}
        self._wake = asyncio.Event()
        self._heard = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = contextlib.AsyncExitStack()

    @property
    def plane(self) -> str:
        """Its name among planes: the log that its own process writes."""
        return self.shares.plane

    async def join(
        self, logs: Sequence[str], configuration: str, owns: Callable[[str], bool]
    ) -> None:
        """Become one of the planes, once one that is cut off has no authority of its own any more.

        `owns` tells which planes were earlier lives of this one: these have ended.
        Raises UsageError `configuration_differs`, UnavailableError.
        """
        self.configuration = configuration
        join = self.shares.membership.join
        news: News = await self.in_thread("beat", partial(join, logs, configuration, DEAD_S))
        self._closing.push_async_callback(self._leave)
        self._head, self.members = news.head, news.members
        while any(
            _LIVE_S < each.silent_s < _ALONE_US / 1e6 + _LIVE_S and not owns(each.plane)
            for each in self.others()
        ):
            _LOG.warning("another plane is silent; this one waits until it can do nothing more")
            await asyncio.sleep(_LOOK_S)
            self.members = await self.in_thread("say", self.shares.membership.members)

    async def begin(self, hearer: Hearer) -> None:
        """Hear the others from now on, what was before is known; give up when closed."""
        self._hearer = hearer
        self.steady_us = self._clock.monotonic_us()
        end = self.shares.membership.listen(self._listen)
        self._closing.push_async_callback(asyncio.to_thread, end)
        self._set_trouble(await self._beat(hearer))
        self._spawn(self._keep(hearer))

    async def settle(self) -> None:
        """Return when what is committed now holds on every plane (note 018).

        A plane that says nothing has no authority one second from now: it can only have read
        before now what it acts on. Raises UnavailableError if the database does not answer.
        """
        number: int = await self.in_thread("say", self.shares.membership.head)
        until_us = self._clock.monotonic_us() + LEASE_US
        self._wake.set()
        while any(member.taken < number for member in self.members):
            left_s = (until_us - self._clock.monotonic_us()) / 1e6
            if left_s <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, _PATIENCE_S)):
                    await self._heard.wait()
            self._heard.clear()
            self._wake.set()

    async def tidy(self) -> None:
        """Drop what every plane knows. Raises UnavailableError."""
        await self.in_thread("say", self.shares.membership.tidy)

    async def remove(self, plane: str, *, is_sure: bool = False) -> None:
        """A plane has been recovered; unless that is sure, it stays if it was heard of again.

        Raises UnavailableError.
        """
        await self.in_thread("say", partial(self.shares.membership.leave, plane, is_sure=is_sure))

    @property
    def until_us(self) -> int:
        """How far the authority of this plane's workers may go; monotonic.

        The only plane has it for some time without the database, in which no other plane begins
        (`join`); one that keeps a journal, for as long as that lasts.
        """
        now_us = self._clock.monotonic_us()
        if not self.members or self.others():
            return self.fresh_until_us
        if self.keeps_journal:
            return now_us + LEASE_US
        return min(now_us + LEASE_US, self.fresh_until_us + _ALONE_US)

    def others(self) -> list[Member]:
        """The other planes that the database knows."""
        return [member for member in self.members if member.plane != self.plane]

    @property
    def is_first(self) -> bool:
        """Whether it is this plane that does what one of them must do."""
        return min([each.plane for each in self._running()], default=self.plane) == self.plane

    def readiness(self) -> str:
        """Why this plane should not be used; empty if it can."""
        if self._trouble:
            return self._trouble
        newest = max([each.epoch for each in self._running()], default=self.epoch)
        if newest > self.epoch:
            return (
                f"another plane runs epoch {newest} of the configuration, this one epoch"
                f" {self.epoch}: give it the same files and reload it"
            )
        return ""

    def say(self, words: bytes) -> None:
        """Send words to all planes; nothing is waited for, and they may be lost."""
        text = words.decode()
        self._threads["say"].submit(_quietly, partial(self.shares.membership.say, text))

    def is_live(self, holder: Holder) -> bool:
        """Whether a log is written by another plane that was heard of just now."""
        return any(holder in each.logs and each.silent_s < _LIVE_S for each in self.others())

    async def in_thread(self, name: str, work: Callable[[], Result]) -> Result:
        """Do what blocks in the thread of that name, one after the other."""
        return await self._loop.run_in_executor(self._threads[name], work)

    async def close(self) -> None:
        """Leave the planes; what others must still hear has been said."""
        self.fresh_until_us = 0
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._closing.aclose()
        for each in (self.shares.membership, self.shares.runs, self.shares.limits):
            await asyncio.to_thread(each.close)
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)

    def _running(self) -> list[Member]:
        return [each for each in self.members if each.silent_s < DEAD_S]

    async def _leave(self) -> None:
        if not self.is_concluded:
            return  # it will be silent, and another finds what is left
        with contextlib.suppress(RingfenceError):
            await self.remove(self.plane, is_sure=True)

    def _listen(self, words: str) -> None:
        """On the listening thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended first
            self._loop.call_soon_threadsafe(self._take_words, words)

    def _take_words(self, words: str) -> None:
        if not words:
            self._wake.set()
        elif self._hearer is not None:
            self._hearer.called(words.encode())

    async def _keep(self, hearer: Hearer) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RENEW_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                self._set_trouble(await self._beat(hearer))
            except UnavailableError as error:
                self._set_trouble(f"what planes share cannot be read: {error}")
                self.steady_us = self._clock.monotonic_us()
                await asyncio.sleep(RENEW_S)
            except Exception:  # noqa: BLE001 (without authority nothing is served; it is tried again)
                _LOG.exception("what planes share could not be taken")
                self._set_trouble("what planes share could not be taken")
                await asyncio.sleep(RENEW_S)

    async def _beat(self, hearer: Hearer) -> str:
        """Be heard of and hear; gives what is wrong nevertheless, or nothing."""
        asked_us = self._clock.monotonic_us()
        taken = self._taken
        said = Beat(
            taken=taken,
            epoch=self.epoch,
            configuration=self.configuration,
            keeps_journal=self.keeps_journal,
        )
        beat = self.shares.membership.beat
        news: News = await self.in_thread("beat", partial(beat, self._head, said))
        self.members = news.members
        if not any(member.plane == self.plane for member in news.members):
            raise UnavailableError(
                "plane_gone", "another plane has taken this one for dead: start it again"
            )
        obeyed = await hearer.hear(news)
        # From here to the renewal, one turn: what is sent later is not what was read before.
        self._head = news.head
        self.fresh_until_us = asked_us + LEASE_US
        hearer.renew()
        self._heard.set()
        if news.head > taken:
            self._spawn(self._obey(news.head, obeyed))
        else:
            await obeyed
        if taken > self._said:
            self._said = taken
            self.say(b"")
        skew_us = self._clock.now_us() - news.now_us
        return (
            f"this machine's clock is {skew_us / 1e6:.1f} s off the database's"
            if abs(skew_us) > _SKEW_US
            else ""
        )

    async def _obey(self, head: int, obeyed: Awaitable[None]) -> None:
        await obeyed
        self._taken = max(self._taken, head)
        self._wake.set()

    def _set_trouble(self, trouble: str) -> None:
        if trouble and not self._trouble:
            _LOG.error("this plane is cut off from the others: %s", trouble)
        self._trouble = trouble

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


_THREADS: Final = ("beat", "say", "runs", "limits")


def _quietly(work: Callable[[], None]) -> None:
    with contextlib.suppress(RingfenceError):
        work()
