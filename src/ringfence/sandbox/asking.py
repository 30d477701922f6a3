"""Puts what the kernel asks of a sandbox's monitor before the plane, and its answers back."""

import asyncio
import errno
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, assert_never, final

from ringfence.domain.error import RingfenceError
from ringfence.domain.monitoring import ANSWER_S, ExecAnswer, Kill, PeerAnnounced
from ringfence.domain.monitoring import ExecAsked as Asked
from ringfence.domain.monitoring import Exited as Told
from ringfence.domain.sandbox import SYSTEM
from ringfence.sandbox import exec_check, first_line, telling
from ringfence.sandbox.exec_check import ExecChecks, Found, Looked, Promised
from ringfence.sandbox.first_line import FirstLine
from ringfence.sandbox.followed import Exited
from ringfence.sandbox.notification import Call, ConnectAsked, ExecAsked
from ringfence.sandbox.plane_message import Message
from ringfence.sandbox.refused_call import RefusedCall, RefusedCallCount, refused_connect

_LOOK_S: Final = 1.0
_LATE_S: Final = 0.5
"""How long ends of processes are waited for that the kernel has not told of yet, and looks."""


Answered = Callable[[Message | RingfenceError], None]
"""Takes an answer, or why there is none."""


class Calls(Protocol):
    """What the kernel asks; `sandbox.notification.Notifications` implements it."""

    def fileno(self) -> int:
        """Readable when there is something."""

    def calls(self) -> list[Call]:
        """What processes ask, in order."""

    def ends(self) -> list[Exited]:
        """The processes that have ended."""

    def allow(self, id_: int) -> None:
        """Let it be."""

    def refuse(self, id_: int, number: int = errno.EACCES) -> None:
        """Let it fail."""

    def reserve(self, asked: ConnectAsked) -> int:
        """Give the agent's socket a port; 0 if there is none, and it was answered."""

    def connect(self, asked: ConnectAsked) -> int:
        """Connect in the agent's place; our port, 0 if it failed."""

    def kill(self, pid: int) -> None:
        """End a process that was asked about; harmless if it has ended."""

    def finish(self) -> list[Exited]:
        """Processes whose end was not seen."""

    def close(self) -> None:
        """Answer nothing any more."""


class Plane(Protocol):
    """The way to whoever decides; `PlaneLink` implements it."""

    @property
    def silent_s(self) -> float:
        """For how long it has said nothing."""

    def begin(self, message: Message, answered: Answered, /) -> None:
        """Ask; said, in order, when this returns. `answered` is called once."""

    def flush(self) -> None:
        """Let what was said leave now."""

    def tell(self, message: Message, /) -> None:
        """Say something that needs no answer."""


@dataclass(frozen=True, slots=True)
class Processes:
    """What is read of the processes of a sandbox, and said to them."""

    first_line: Callable[[int, str], FirstLine | None]
    is_there: Callable[[int], bool]
    look: Callable[[int], Found | None]
    tell: Callable[[int, str], object]


HERE: Final = Processes(first_line.first_line, exec_check.is_there, exec_check.look, telling.tell)
"""Those of this machine."""


@final
class CommandQuestions:
    """A `monitor.Part`: every program that is to run waits here for the plane.

    A plane that is silent for ten seconds has refused; one that speaks may take its time, since
    there may be a person to be asked. INVARIANT: nothing is allowed that the plane did not allow.
    """

    def __init__(
        self,
        calls: Calls,
        plane: Plane,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        processes: Processes = HERE,
    ) -> None:
        """Owns `calls`. Made inside the running loop."""
        self._calls = calls
        self._plane = plane
        self._now_us = now_us
        self._processes = processes
        self._loop = asyncio.get_running_loop()
        self._refused_calls = RefusedCallCount(self._loop, plane.tell)
        self._checks = ExecChecks(self._loop, plane.tell, now_us, processes, self._aside)
        self._aside_now: set[asyncio.Future[list[Looked]]] = set()
        self._waiting: dict[int, Promised | None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._has_begun = False
        self._said: tuple[int, str] | None = None
        """What was said last, and to which process."""
        self.refused = 0
        """How many programs were refused."""

    def begin(self) -> None:
        """Answer the kernel from now on."""
        self._loop.add_reader(self._calls.fileno(), self._read)
        self._look()

    async def finish(self) -> None:
        """Every process is gone: tell of the ends that are left, and answer no more."""
        self._loop.remove_reader(self._calls.fileno())
        if self._timer is not None:
            self._timer.cancel()
        until_s = self._loop.time() + _LATE_S
        while (calls := self._calls.calls()) and self._loop.time() < until_s:
            for call in calls:
                self._take(call)
        if self._aside_now:
            await asyncio.wait(self._aside_now, timeout=_LATE_S)
        for exited in (*self._calls.ends(), *self._calls.finish()):
            self._tell(exited)
        self._checks.finish()
        self._refused_calls.finish()
        self._waiting.clear()
        self._calls.close()

    def _read(self) -> None:
        """Ask about what waits, and only then tell of what nobody waits for."""
        for call in self._calls.calls():
            self._take(call)
        self._plane.flush()
        self._tell_ends()

    def _tell_ends(self) -> None:
        for exited in self._calls.ends():
            self._tell(exited)

    def _take(self, call: Call) -> None:
        match call:
            case ExecAsked():
                self._ask(call)
            case ConnectAsked():
                self._connect(call)
            case RefusedCall():
                self._refused_calls.saw(call)
            case _ as never:
                assert_never(never)

    def beside(self, said: Kill) -> None:
        """A process runs what it may not: it ends."""
        self._calls.kill(said.pid)

    def _ask(self, asked: ExecAsked) -> None:
        """Ask about it when it is known what its process was until now."""
        is_command, self._has_begun = not self._has_begun, True
        is_of_system = asked.resolved.startswith(SYSTEM)
        line = None if is_of_system else self._processes.first_line(asked.pid, asked.resolved)
        self._waiting[asked.id] = Promised(
            pid=asked.pid,
            path=asked.path,
            program=asked.resolved,
            argv=asked.argv,
            exe=asked.exe,
            line=line,
            is_cut=asked.is_cut,
        )
        question = Asked(
            id=asked.id,
            time_us=self._now_us(),
            pid=asked.pid,
            parent=asked.parent,
            path=asked.path,
            program=asked.resolved,
            argv=asked.argv,
            directory=asked.directory,
            exe=asked.exe,
            is_descriptor=asked.is_fd_exec,
            is_command=is_command,
            is_cut=asked.is_cut,
            interpreter="" if line is None else line.interpreter,
        )
        self._checks.asked_again(asked.pid, partial(self._put, question))

    def _put(self, question: Asked) -> None:
        if question.id in self._waiting:  # it may have been refused meanwhile
            self._plane.begin(question, partial(self._answered, question.id))

    def _answered(self, id_: int, answer: Message | RingfenceError) -> None:
        promised = self._waiting.pop(id_, None)
        if promised is None:
            return
        if isinstance(answer, ExecAnswer) and answer.is_allowed and answer.id == id_:
            self._calls.allow(id_)
            self._checks.allowed(promised)
            return
        self.refused += 1
        if isinstance(answer, ExecAnswer) and answer.message:
            self._say(promised.pid, answer.message)
        self._calls.refuse(id_)

    def _say(self, pid: int, message: str) -> None:
        """Say it once to a program that tries one name in every folder of its PATH."""
        if self._said != (pid, message):
            self._said = (pid, message)
            self._processes.tell(pid, message)

    def _aside(self, do: Callable[[], list[Looked]], then: Callable[[list[Looked]], None]) -> None:
        """Do what may wait for a process in a thread."""

        def done(looked: "asyncio.Future[list[Looked]]") -> None:
            self._aside_now.discard(looked)
            if not looked.cancelled():
                then(looked.result())
                self._plane.flush()  # a question may have waited for it

        looking = self._loop.run_in_executor(None, do)
        self._aside_now.add(looking)
        looking.add_done_callback(done)

    def _connect(self, asked: ConnectAsked) -> None:
        """The plane knows a connection by its port, and must know that before it is made."""
        if not asked.is_reachable:
            self._calls.refuse(asked.id)
            self._refused_calls.saw(
                refused_connect(asked.pid, asked.family, asked.address, asked.port)
            )
            return
        port = self._calls.reserve(asked)
        if port:
            self._waiting[asked.id] = None
            self._plane.begin(PeerAnnounced(port), partial(self._announced, asked))

    def _announced(self, asked: ConnectAsked, answer: Message | RingfenceError) -> None:
        if asked.id not in self._waiting:
            return
        del self._waiting[asked.id]
        if isinstance(answer, RingfenceError):
            self._calls.refuse(asked.id)
        else:
            self._calls.connect(asked)

    def _tell(self, exited: Exited) -> None:
        code = exited.exit_code if exited.signal is None else -exited.signal
        said = Told(pid=exited.pid, time_us=self._now_us(), exit_code=code)
        self._checks.ended(exited.pid, partial(self._plane.tell, said))

    def _look(self) -> None:
        self._timer = self._loop.call_later(_LOOK_S, self._look)
        if self._plane.silent_s > ANSWER_S:
            for id_ in tuple(self._waiting):
                del self._waiting[id_]
                self.refused += 1
                self._calls.refuse(id_)
