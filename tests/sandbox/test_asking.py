import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from msgspec.structs import replace

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.monitoring import (
    CallRefused,
    ExecAnswer,
    ExecDiffers,
    Exited,
    Kill,
    Noted,
    PeerAnnounced,
)
from ringfence.domain.monitoring import ExecAsked as Asked
from ringfence.sandbox import asking
from ringfence.sandbox.asking import Answered, CommandQuestions, Processes
from ringfence.sandbox.exec_check import Found
from ringfence.sandbox.first_line import FirstLine
from ringfence.sandbox.followed import Exited as Gone
from ringfence.sandbox.notification import Call, ConnectAsked, ExecAsked
from ringfence.sandbox.plane_message import Message
from ringfence.sandbox.refused_call import RefusedCall


def exec_of(id_: int, path: str = "/usr/bin/ls", **more: Any) -> ExecAsked:  # noqa: ANN401 (fields)
    plain: dict[str, Any] = {
        "id": id_,
        "pid": 100 + id_,
        "parent": 100,
        "path": path,
        "resolved": path,
        "argv": (path,),
        "directory": "/project",
        "exe": "/usr/bin/bash",
    }
    return ExecAsked(**(plain | more))


def connect_of(id_: int) -> ConnectAsked:
    return ConnectAsked(
        id=id_, pid=5, fd=3, family=2, address="127.0.0.1", port=3128, is_reachable=True
    )


def elsewhere(id_: int) -> ConnectAsked:
    return replace(connect_of(id_), address="192.0.2.7", port=22, is_reachable=False)


class Kernel:
    """What a sandbox's processes ask, as the test says; `said` is how they were answered."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._calls: list[Call] = []
        self._ends: list[Gone] = []
        self.said: list[tuple[str, int, int]] = []
        self.left: list[Gone] = []
        self.is_closed = False
        self.port = 4711
        self._may_look = threading.Event()
        self._may_look.set()
        self.scripts: dict[str, FirstLine] = {}
        """What programs name in their first lines."""
        self.running: dict[int, Found] = {}
        self.heard: list[tuple[int, str]] = []
        """What processes were told on their standard error."""
        self.processes = Processes(
            first_line=lambda _, path: self.scripts.get(path),
            is_there=self.running.__contains__,
            look=self._look,
            tell=lambda pid, said: self.heard.append((pid, said)),
        )

    def hold_looks(self) -> threading.Event:
        """Whoever looks at a process waits for what is given."""
        self._may_look = threading.Event()
        return self._may_look

    def _look(self, pid: int) -> Found | None:
        assert self._may_look.wait(30)
        return self.running.get(pid)

    def ask(self, *calls: Call) -> None:
        self._calls += calls
        os.write(self._writing, b"x")

    def end(self, *ends: Gone) -> None:
        self._ends += ends
        os.write(self._writing, b"x")

    def fileno(self) -> int:
        return self._reading

    def calls(self) -> list[Call]:
        with contextlib.suppress(BlockingIOError):
            os.read(self._reading, 100)
        calls, self._calls = self._calls, []
        return calls

    def ends(self) -> list[Gone]:
        ends, self._ends = self._ends, []
        return ends

    def allow(self, id_: int) -> None:
        self.said.append(("allow", id_, 0))

    def refuse(self, id_: int, number: int = errno.EACCES) -> None:
        self.said.append(("refuse", id_, number))

    def reserve(self, asked: ConnectAsked) -> int:
        assert asked.is_reachable
        return self.port

    def connect(self, asked: ConnectAsked) -> int:
        self.said.append(("connect", asked.id, asked.port))
        return self.port

    def kill(self, pid: int) -> None:
        self.said.append(("kill", pid, 0))

    def finish(self) -> list[Gone]:
        return self.left

    def close(self) -> None:
        self.is_closed = True
        os.close(self._reading)
        os.close(self._writing)


class Answer:
    """What the test says to one question."""

    def __init__(self, answered: Answered) -> None:
        self.give = answered


class Plane:
    """Whoever decides; the test answers. `sent` is what has left, in order."""

    def __init__(self) -> None:
        self.asked: list[Message] = []
        self.told: list[Message] = []
        self.sent: list[Message] = []
        self._unsent: list[Message] = []
        self.answers: list[Answer] = []
        self.silent_s = 0.0
        self.heard = asyncio.Event()

    def begin(self, message: Message, answered: Answered) -> None:
        self.asked.append(message)
        self._unsent.append(message)
        self.answers.append(Answer(answered))

    def tell(self, message: Message) -> None:
        self.told.append(message)
        self._unsent.append(message)
        self.heard.set()

    def flush(self) -> None:
        self.sent += self._unsent
        self._unsent.clear()


Story = Callable[[Kernel, Plane, CommandQuestions], Coroutine[Any, Any, None]]


def tell(story: Story) -> None:
    async def main() -> None:
        kernel, plane = Kernel(), Plane()
        questions = CommandQuestions(kernel, plane, now_us=lambda: 7, processes=kernel.processes)
        questions.begin()
        await story(kernel, plane, questions)
        if not kernel.is_closed:
            await questions.finish()

    asyncio.run(main())


async def turn() -> None:
    await asyncio.sleep(0.01)


def test_a_program_runs_when_the_plane_allows_it_and_not_before() -> None:
    async def story(kernel: Kernel, plane: Plane, _: CommandQuestions) -> None:
        kernel.ask(exec_of(1))
        await turn()
        assert kernel.said == []
        plane.answers[0].give(ExecAnswer(id=1, is_allowed=True))
        await turn()
        assert kernel.said == [("allow", 1, 0)]

    tell(story)


def test_the_plane_is_asked_about_the_file_itself_and_the_first_is_the_command() -> None:
    async def story(kernel: Kernel, plane: Plane, _: CommandQuestions) -> None:
        kernel.ask(exec_of(1, "./x", resolved="/project/x", is_cut=True), exec_of(2))
        await turn()
        first, second = plane.asked
        assert isinstance(first, Asked)
        assert isinstance(second, Asked)
        assert (first.is_command, second.is_command) == (True, False)
        assert first.path == "./x"
        assert first.program == "/project/x"
        assert (first.pid, first.parent, first.time_us, first.is_cut) == (101, 100, 7, True)

    tell(story)


@pytest.mark.parametrize(
    "answer",
    [
        ExecAnswer(id=1, is_allowed=False),
        ExecAnswer(id=2, is_allowed=True),
        Noted(),
        UnavailableError("link_closed", "gone"),
    ],
)
def test_whatever_is_no_permission_for_this_program_refuses_it(
    answer: Message | RingfenceError,
) -> None:
    async def story(kernel: Kernel, plane: Plane, questions: CommandQuestions) -> None:
        kernel.ask(exec_of(1))
        await turn()
        plane.answers[0].give(answer)
        await turn()
        assert kernel.said == [("refuse", 1, errno.EACCES)]
        assert questions.refused == 1

    tell(story)


def test_a_plane_that_is_silent_for_long_has_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_LOOK_S", 0.02)

    async def story(kernel: Kernel, plane: Plane, _: CommandQuestions) -> None:
        kernel.ask(exec_of(1))
        plane.silent_s = 9.0
        await asyncio.sleep(0.1)
        assert kernel.said == [], "a person may be asked while the plane lives"
        plane.silent_s = 10.5
        await asyncio.sleep(0.1)
        assert kernel.said == [("refuse", 1, errno.EACCES)]
        plane.answers[0].give(ExecAnswer(id=1, is_allowed=True))
        await turn()
        assert len(kernel.said) == 1, "a late permission is none"

    tell(story)


def test_ten_thousand_at_once_are_each_answered_once() -> None:
    async def story(kernel: Kernel, plane: Plane, _: CommandQuestions) -> None:
        kernel.ask(*(exec_of(number) for number in range(10_000)))
        while len(plane.answers) < 10_000:
            await turn()
        for number, answer in enumerate(plane.answers):
            answer.give(ExecAnswer(id=number, is_allowed=number % 2 == 0))
        while len(kernel.said) < 10_000:
            await turn()
        assert sorted(id_ for _, id_, _ in kernel.said) == list(range(10_000))
        assert sum(what == "allow" for what, _, _ in kernel.said) == 5_000

    tell(story)


def test_ends_of_processes_are_told() -> None:
    async def story(kernel: Kernel, plane: Plane, _: CommandQuestions) -> None:
        kernel.end(Gone(pid=5, exit_code=3), Gone(pid=6, signal=9), Gone(pid=7))
        await turn()
        assert plane.told == [
            Exited(pid=5, time_us=7, exit_code=3),
            Exited(pid=6, time_us=7, exit_code=-9),
            Exited(pid=7, time_us=7, exit_code=None),
        ]

    tell(story)


def test_a_question_leaves_before_ends_of_which_nobody_waits_to_hear() -> None:
    async def story(kernel: Kernel, plane: Plane, _: CommandQuestions) -> None:
        kernel.end(Gone(pid=5, exit_code=0))
        kernel.ask(exec_of(1))
        await turn()
        assert plane.sent == plane.asked
        assert plane.told == [Exited(pid=5, time_us=7, exit_code=0)]

    tell(story)


def test_at_the_end_what_was_not_seen_is_told_and_nothing_more_is_answered() -> None:
    async def story(kernel: Kernel, plane: Plane, questions: CommandQuestions) -> None:
        kernel.ask(exec_of(1))
        await turn()
        kernel.left = [Gone(pid=9)]
        await questions.finish()
        assert plane.told == [Exited(pid=9, time_us=7)]
        assert kernel.is_closed
        plane.answers[0].give(ExecAnswer(id=1, is_allowed=True))
        await turn()
        assert kernel.said == []

    tell(story)


def test_a_connection_is_made_when_the_plane_knows_its_port() -> None:
    async def story(kernel: Kernel, plane: Plane, _: CommandQuestions) -> None:
        kernel.ask(connect_of(1))
        await turn()
        assert kernel.said == []
        assert plane.asked == [PeerAnnounced(4711)]
        plane.answers[0].give(Noted())
        await turn()
        assert kernel.said == [("connect", 1, 3128)]

    tell(story)


def test_a_connection_elsewhere_is_refused_and_told_of() -> None:
    async def story(kernel: Kernel, plane: Plane, _questions: CommandQuestions) -> None:
        kernel.ask(elsewhere(1))
        await plane.heard.wait()
        assert kernel.said == [("refuse", 1, errno.EACCES)]
        assert plane.told == [CallRefused(pid=5, call="tcp", to="192.0.2.7:22", error="EACCES")]
        assert plane.asked == []

    tell(story)


def test_what_was_tried_is_told_and_counted_at_the_end() -> None:
    async def story(kernel: Kernel, plane: Plane, questions: CommandQuestions) -> None:
        tried = RefusedCall(pid=5, call="ptrace", error="EPERM")
        kernel.ask(tried, tried, tried)
        await plane.heard.wait()
        await questions.finish()
        assert [each.times for each in plane.told if isinstance(each, CallRefused)] == [1, 2]

    tell(story)


def test_a_connection_that_the_plane_does_not_know_is_not_made() -> None:
    async def story(kernel: Kernel, plane: Plane, _: CommandQuestions) -> None:
        kernel.ask(connect_of(1))
        await turn()
        plane.answers[0].give(UnavailableError("link_closed", "gone"))
        await turn()
        assert kernel.said == [("refuse", 1, errno.EACCES)]
        kernel.port = 0
        kernel.ask(connect_of(2))
        await turn()
        assert len(plane.asked) == 1, "one that has no port was answered already"

    tell(story)


def test_whoever_is_refused_is_told_why_where_it_would_say_so_itself() -> None:
    async def story(kernel: Kernel, plane: Plane, _questions: CommandQuestions) -> None:
        kernel.ask(exec_of(1))
        await turn()
        plane.answers[0].give(ExecAnswer(id=1, is_allowed=False, message="not yours"))
        await turn()
        assert kernel.heard == [(101, "not yours")]
        assert kernel.said == [("refuse", 1, errno.EACCES)]

    tell(story)


def test_a_program_that_tries_one_name_in_several_folders_is_told_once() -> None:
    async def story(kernel: Kernel, plane: Plane, _questions: CommandQuestions) -> None:
        paths = ("/usr/bin/git", "/bin/git")
        for id_, (pid, path) in enumerate([(5, each) for each in paths] + [(6, paths[0])]):
            kernel.ask(exec_of(id_, path, pid=pid))
            await turn()
            plane.answers[-1].give(ExecAnswer(id=id_, is_allowed=False, message="not yours"))
            await turn()
        assert kernel.heard == [(5, "not yours"), (6, "not yours")]
        assert len(kernel.said) == 3

    tell(story)


def test_a_script_of_the_agents_is_asked_about_with_its_interpreter() -> None:
    async def story(kernel: Kernel, plane: Plane, _questions: CommandQuestions) -> None:
        sh = FirstLine(interpreter="/usr/bin/dash", runs="/usr/bin/dash", words=("/bin/sh",))
        kernel.scripts = {"/project/a.sh": sh, "/usr/bin/pip": sh}
        kernel.ask(exec_of(1, "/project/a.sh"), exec_of(2, "/usr/bin/pip"))
        await turn()
        named = [each.interpreter for each in plane.asked if isinstance(each, Asked)]
        assert named == ["/usr/bin/dash", ""]

    tell(story)


def test_what_became_something_else_is_told_and_ends_if_the_plane_says_so() -> None:
    async def story(kernel: Kernel, plane: Plane, questions: CommandQuestions) -> None:
        kernel.running[101] = Found("/usr/bin/curl", ("curl", "evil"))
        kernel.ask(exec_of(1))
        await turn()
        plane.answers[0].give(ExecAnswer(id=1, is_allowed=True))
        await asyncio.wait_for(plane.heard.wait(), 60)
        assert plane.told == [
            ExecDiffers(pid=101, exe="/usr/bin/curl", argv=("curl", "evil"), time_us=7)
        ]
        questions.beside(Kill(pid=101))
        assert kernel.said[-1] == ("kill", 101, 0)

    tell(story)


def test_what_wants_to_go_on_waits_in_the_kernel_for_the_look_and_holds_up_nobody() -> None:
    async def story(kernel: Kernel, plane: Plane, _questions: CommandQuestions) -> None:
        kernel.running[101] = Found("/usr/bin/curl", ("curl", "evil"))
        kernel.ask(exec_of(1))
        await turn()
        may_look = kernel.hold_looks()
        plane.answers[0].give(ExecAnswer(id=1, is_allowed=True))
        kernel.ask(exec_of(3, pid=101), exec_of(2))
        kernel.end(Gone(pid=101, signal=9))
        while len(plane.asked) < 2:
            await turn()
        assert [each.id for each in plane.asked if isinstance(each, Asked)] == [1, 2]
        assert plane.told == []
        may_look.set()
        while len(plane.told) < 2:
            await turn()
        assert plane.sent[2:] == [
            ExecDiffers(pid=101, exe="/usr/bin/curl", argv=("curl", "evil"), time_us=7),
            plane.asked[2],
            Exited(pid=101, time_us=7, exit_code=-9),
        ], "what was found is told before the question, and that before the end"

    tell(story)
