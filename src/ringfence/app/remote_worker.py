"""One worker process as its supervisor holds it: started, told, given authority, buried."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Mapping
from typing import Final, Protocol, final

from ringfence.app.change_message import Renewal
from ringfence.app.message import VERSION, Drain, Hurry, Message, PlaneTrouble, Pulse
from ringfence.domain.error import PeerError, RingfenceError, UnavailableError
from ringfence.domain.lease import Holder
from ringfence.enforcement.authority import LEASE_US
from ringfence.stores.secret.wrapping_key import VARIABLE
from ringfence.transport.clock import Clock
from ringfence.transport.link import Link

_LOG = logging.getLogger(__name__)

_GREETING_S: Final = 60.0
"""How long a process may take to import what it needs; many may start on few cores."""

_BURY_S: Final = 3.0
"""How long a process whose link has ended may take to end by itself."""


class Asked(Protocol):
    """Answers what a worker asks of its supervisor, beyond its own pulse."""

    def told(self, worker: "RemoteWorker", message: Message, /) -> None:
        """Nobody waits for an answer."""

    def asked(self, worker: "RemoteWorker", message: Message, /) -> Message | Awaitable[Message]:
        """Answer at once, or later."""


@final
class RemoteWorker:
    """A worker process in one life; implements `transport.link.Receiver`.

    INVARIANT: authority is granted for at most one second from now, and never again once a
    worker has been given up, so that `granted_until_us` bounds what it may still do.
    """

    def __init__(self, number: int, clock: Clock, supervisor: Asked, life: int = 1) -> None:
        """Nothing is started yet. `number` counts from 1 and is the place that it fills.

        `life` tells those apart who fill it one after the other.
        """
        self.number = number
        self.holder = Holder(f"{number}.{life}")
        self.pulse: Pulse | None = None
        self.heard_us = clock.monotonic_us()
        self.is_told = False
        """Whether it has been sent its `Start`, and therefore is sent every change after it."""
        self.is_serving = False
        self.granted_until_us = 0
        self._clock = clock
        self._supervisor = supervisor
        self._process: asyncio.subprocess.Process | None = None
        self._link: Link[Message] | None = None
        self._is_draining = False
        self._told_trouble = ""

    async def spawn(self, environment: Mapping[str, str]) -> None:
        """Start the process and greet it.

        An exec, not a fork: nothing of this process is in it but its environment, where the secrets
        are. Raises UsageError `link_version`, UnavailableError `worker_failed`.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "ringfence", "worker", "--link", str(theirs.fileno())),
                    *("--log-level", logging.getLevelName(_LOG.getEffectiveLevel()).lower()),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    env=_without_key({**os.environ, **environment}),
                )
            self._link = await Link[Message].over(
                ours, Message, VERSION, self, greeting_s=_GREETING_S
            )
        except OSError as error:
            ours.close()
            about = f" (`{error.filename}`)" if error.filename else ""
            raise UnavailableError(
                "worker_failed", f"worker {self.number} cannot be started: {error.strerror}{about}"
            ) from error
        except BaseException:
            ours.close()
            raise

    @property
    def pid(self) -> int:
        """The process's id; 0 before it has one."""
        return self._process.pid if self._process is not None else 0

    @property
    def is_linked(self) -> bool:
        """Whether it can be told anything."""
        return self._link is not None and not self._link.is_closed

    @property
    def messages(self) -> int:
        """How many messages have gone either way, for the status."""
        return self._link.sent + self._link.received if self._link is not None else 0

    def tell(self, message: Message) -> None:
        """Say something that needs no answer."""
        if self._link is not None:
            self._link.tell(message)

    def ask(self, message: Message) -> asyncio.Future[Message]:
        """Say something that is answered. Said, in order, when this returns."""
        if self._link is None:
            raise UnavailableError("link_closed", f"worker {self.number} is not there")
        return self._link.ask(message)

    def renew(self, change: int, until_us: int | None = None) -> None:
        """Give authority for the next second, if the worker has taken that change by then.

        `until_us` is how far it may go at most: what the plane itself has not, it cannot give.
        """
        if self.is_linked:
            second_us = self._clock.monotonic_us() + LEASE_US
            until_us = second_us if until_us is None else min(until_us, second_us)
            self.granted_until_us = max(self.granted_until_us, until_us)
            self.tell(Renewal(until_us, change))

    def trouble(self, words: str) -> None:
        """Have it say on its own port why the whole plane should not be used; once is enough."""
        if words != self._told_trouble:
            self._told_trouble = words
            self.tell(PlaneTrouble(words))

    async def obey(self, answer: asyncio.Future[Message]) -> None:
        """Return when a change has been taken, or can no longer be disobeyed (design note 012).

        `answer` is that of a change which has just been sent. Authority that was granted before it
        is over after a second; what is granted after it counts only once it has been taken. A
        worker that answers with an error is killed: what it believes is not known.
        """
        until_us = self.granted_until_us
        done, _ = await asyncio.wait({answer}, timeout=self._left_s(until_us))
        if not done:
            answer.add_done_callback(self._has_obeyed)
        elif not self._has_obeyed(answer):
            ending = asyncio.create_task(self.ended())
            await asyncio.wait({ending}, timeout=self._left_s(until_us))

    def _left_s(self, until_us: int) -> float:
        return max(0, until_us - self._clock.monotonic_us()) / 1e6

    def _has_obeyed(self, answer: asyncio.Future[Message]) -> bool:
        error = None if answer.cancelled() else answer.exception()
        if error is not None:
            if self.is_linked:
                _LOG.error("worker %d cannot take a change and is ended: %s", self.number, error)
            self.kill()
        return error is None

    def hurry(self) -> None:
        """Let it not wait for running answers any longer."""
        self.tell(Hurry())

    async def drain(self, grace_s: float, limit_s: float) -> None:
        """Let it end in order; kill it if that takes longer than `limit_s`."""
        self._is_draining = True
        with contextlib.suppress(RingfenceError, TimeoutError):
            async with asyncio.timeout(limit_s):
                await self.ask(Drain(grace_s))
                await self.ended()
        self.kill()
        await self.ended()

    def kill(self) -> None:
        """End it at once; harmless if it has ended."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    async def ended(self) -> int:
        """How the process ended, when it has: its exit code, below 0 for a signal."""
        if self._process is None:
            return 0
        code = await self._process.wait()
        if self._link is not None:
            self._link.close()
        return code

    # `Receiver`

    def told(self, message: Message) -> None:
        """Its pulse, or what the supervisor knows."""
        self.heard_us = self._clock.monotonic_us()
        if isinstance(message, Pulse):
            self.pulse = message
        else:
            self._supervisor.told(self, message)

    def asked(self, message: Message) -> Message | Awaitable[Message]:
        """What the supervisor knows."""
        self.heard_us = self._clock.monotonic_us()
        return self._supervisor.asked(self, message)

    def closed(self, why: RingfenceError) -> None:
        """Without a link its authority runs out and it ends; that is made sure of."""
        if not self._is_draining:
            _LOG.warning("the link to worker %d has ended: %s", self.number, why)
        asyncio.get_running_loop().call_later(_BURY_S, self.kill)


def _without_key(environment: dict[str, str]) -> dict[str, str]:
    """A worker is given the values that it needs; the key to all that is stored stays here."""
    environment.pop(VARIABLE, None)
    return environment


def unexpected(message: Message) -> PeerError:
    """What a supervisor is not asked."""
    return PeerError("link_malformed", f"a supervisor does not take `{type(message).__name__}`")
