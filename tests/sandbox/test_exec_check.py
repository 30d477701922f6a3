"""What a process has become is compared with what it said, and only a true difference is told."""

import os
import subprocess
import time
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from ringfence.domain.monitoring import ExecDiffers
from ringfence.sandbox.asking import HERE
from ringfence.sandbox.exec_check import (
    ExecChecks,
    Found,
    Looked,
    Promised,
    fits,
    has_begun,
    is_there,
    look,
)
from ringfence.sandbox.first_line import FirstLine

GIT = Promised(
    pid=1,
    path="/usr/bin/git",
    program="/usr/bin/git",
    argv=("git", "log"),
    exe="/usr/bin/bash",
)
SCRIPT = replace(
    GIT,
    path="./run.sh",
    program="/project/run.sh",
    argv=("./run.sh", "a"),
    line=FirstLine(interpreter="/usr/bin/dash", runs="/usr/bin/dash", words=("/bin/sh", "-e")),
)
LINES = {
    "/usr/bin/pip": FirstLine(
        interpreter="/usr/bin/python3.11",
        runs="/usr/bin/python3.11",
        words=("/usr/bin/python3",),
    )
}
PIP = replace(GIT, path="/usr/bin/pip", program="/usr/bin/pip", argv=("pip", "list"))


@pytest.mark.parametrize(
    ("promised", "exe", "argv", "does"),
    [
        (GIT, "/usr/bin/git", ("git", "log"), True),
        (GIT, "/usr/bin/git", ("git", "push"), False),
        (GIT, "/usr/bin/curl", ("git", "log"), False),
        (replace(GIT, is_cut=True), "/usr/bin/git", ("git", "push"), True),
        (replace(GIT, is_cut=True), "/usr/bin/git", ("other", "log"), False),
        (replace(GIT, is_cut=True), "/usr/bin/curl", ("git", "log"), False),
        (GIT, "/usr/bin/git", (), True),
        (replace(GIT, argv=()), "/usr/bin/git", ("",), True),
        (replace(GIT, argv=()), "/usr/bin/git", ("push",), False),
        (GIT, "/usr/bin/curl", (), False),
        (SCRIPT, "/usr/bin/dash", (), True),
        (SCRIPT, "/project/evil", (), False),
        (SCRIPT, "/usr/bin/dash", ("/bin/sh", "-e", "./run.sh", "a"), True),
        (replace(SCRIPT, is_cut=True), "/usr/bin/dash", ("/bin/sh", "-e", "./run.sh", "ab"), True),
        (SCRIPT, "/usr/bin/dash", ("/bin/sh", "./run.sh", "a"), False),
        (SCRIPT, "/usr/bin/dash", ("/bin/sh", "-cevil", "./run.sh", "a"), False),
        (SCRIPT, "/usr/bin/curl", ("/bin/sh", "./run.sh", "a"), False),
        (SCRIPT, "/usr/bin/dash", ("/bin/sh", "./other.sh", "a"), False),
        (SCRIPT, "/usr/bin/dash", ("/bin/sh", "-c", "evil", "./run.sh", "a"), False),
    ],
)
def test_what_was_promised_fits_and_nothing_else(
    promised: Promised, exe: str, argv: tuple[str, ...], *, does: bool
) -> None:
    assert fits(promised, Found(exe, argv)) is does


@pytest.mark.parametrize(
    ("promised", "exe", "argv", "is_told"),
    [
        (PIP, "/usr/bin/python3.11", ("/usr/bin/python3", "/usr/bin/pip", "list"), False),
        (PIP, "/usr/bin/python3.11", ("python3", "-cevil", "/usr/bin/pip", "list"), True),
        (PIP, "/project/evil", ("/usr/bin/python3", "/usr/bin/pip", "list"), True),
        (PIP, "/usr/bin/python3.11", (), False),
        (PIP, "/project/evil", (), True),
        (GIT, "/project/evil", ("evil", "/usr/bin/git", "log"), True),
        (GIT, "/usr/bin/python3.11", ("python3", "-cevil", "/usr/bin/git", "log"), True),
        (replace(GIT, is_cut=True), "/project/evil", ("evil",), True),
    ],
)
def test_nothing_passes_for_a_script_of_the_system_but_what_that_runs(
    promised: Promised, exe: str, argv: tuple[str, ...], *, is_told: bool
) -> None:
    """Whoever exchanges path and words in time must not find a shape in which nobody looks."""
    told: list[ExecDiffers] = []
    clock = Clock()
    checks = ExecChecks(clock, told.append, lambda: 7, Runs({1: Found(exe, argv)}), at_once)
    checks.allowed(promised)
    for _ in range(20):
        if clock.due:
            clock.turn()
    assert [each.exe for each in told] == ([exe] if is_told else [])


def test_an_exec_that_has_not_begun_or_has_failed_is_no_difference() -> None:
    assert not has_begun(GIT, Found("/usr/bin/bash", ("bash", "-c", "git log")))
    assert has_begun(GIT, Found("/usr/bin/git", ("git", "push")))
    assert has_begun(replace(GIT, exe="/usr/bin/git"), Found("/usr/bin/git", ("git", "log")))


class Clock:
    """Calls back when a test says so."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def call_later(self, _delay: float, callback: Callable[[], None]) -> None:
        self.due.append(callback)

    def turn(self) -> None:
        self.due.pop(0)()

    def run(self) -> None:
        while self.due:
            self.turn()


def at_once(do: Callable[[], list[Looked]], then: Callable[[list[Looked]], None]) -> None:
    then(do())


def test_a_process_that_runs_something_else_is_told_and_one_that_ended_is_not() -> None:
    with subprocess.Popen(["/bin/sleep", "20"]) as running:
        while (found := look(running.pid)) is None or "sleep" not in found.exe or not found.argv:
            time.sleep(0.001)
        told: list[ExecDiffers] = []
        clock = Clock()
        checks = ExecChecks(clock, told.append, lambda: 7, HERE, at_once)
        right = replace(GIT, pid=running.pid, program=found.exe, argv=found.argv)
        for promised in (right, replace(right, argv=("sleep", "1")), replace(right, pid=2**22 + 1)):
            checks.allowed(promised)
        assert len(clock.due) == 1, "what is due at one time is looked at together"
        clock.run()
        running.kill()
    assert told == [ExecDiffers(pid=running.pid, exe=found.exe, argv=found.argv, time_us=7)]


def test_only_what_is_still_there_is_looked_at_and_that_is_done_aside() -> None:
    aside: list[Callable[[], list[Looked]]] = []
    told: list[ExecDiffers] = []
    clock = Clock()
    checks = ExecChecks(clock, told.append, lambda: 7, HERE, lambda do, _then: aside.append(do))
    checks.allowed(replace(GIT, pid=2**22 + 1))
    clock.run()
    assert aside == []
    assert not is_there(2**22 + 1)
    checks.allowed(replace(GIT, pid=os.getpid()))
    checks.allowed(replace(GIT, pid=2**22 + 1))
    clock.run()
    assert [promised.pid for do in aside for promised, _ in do()] == [os.getpid()]
    assert told == []


def test_however_late_it_begins_it_is_looked_at() -> None:
    """An agent can have its exec wait: by a priority below those of others that are busy."""
    told: list[ExecDiffers] = []
    clock = Clock()
    runs = {1: Found(GIT.exe, ("bash",))}
    checks = ExecChecks(clock, told.append, lambda: 7, Runs(runs), at_once)
    checks.allowed(GIT)
    for _ in range(100):
        clock.turn()
    assert told == []
    runs[1] = Found("/project/evil", ("evil",))
    clock.run()
    assert [each.exe for each in told] == ["/project/evil"]


@pytest.mark.parametrize("argv", [("git", "log"), ("git", "push")])
def test_a_program_that_is_being_loaded_is_looked_at_again_for_its_words(
    argv: tuple[str, ...],
) -> None:
    """The kernel exchanges the program before the words: it has none meanwhile."""
    told: list[ExecDiffers] = []
    clock = Clock()
    runs = {1: Found(GIT.program, ())}
    checks = ExecChecks(clock, told.append, lambda: 7, Runs(runs), at_once)
    checks.allowed(GIT)
    for _ in range(10):
        clock.turn()
    assert told == []
    runs[1] = Found(GIT.program, argv)
    clock.run()
    assert [each.argv for each in told] == ([] if argv == GIT.argv else [argv])


def test_a_program_without_words_yet_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken for one that has ended, whatever it is would go unseen."""
    own = look(os.getpid())
    assert own is not None
    monkeypatch.setattr(os, "read", lambda *_: b"")
    assert look(os.getpid()) == Found(own.exe, ())


def test_what_never_begins_is_looked_at_until_it_ends() -> None:
    told: list[ExecDiffers] = []
    clock = Clock()
    runs = {1: Found(GIT.exe, ("bash",))}
    checks = ExecChecks(clock, told.append, lambda: 7, Runs(runs), at_once)
    checks.allowed(GIT)
    clock.turn()
    assert clock.due
    del runs[1]
    clock.run()
    assert (clock.due, told) == ([], [])


def test_a_look_in_the_middle_of_an_exec_is_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what is promised would run under the name of what it replaced, and be ended for it."""
    own, names = look(os.getpid()), ["/usr/bin/bwrap"]
    read = os.readlink
    monkeypatch.setattr(os, "readlink", lambda path: names.pop() if names else read(path))
    assert look(os.getpid()) == own
    assert names == []


class Runs:
    """What processes run, as a test says."""

    def __init__(self, runs: dict[int, Found]) -> None:
        self._runs = runs

    def is_there(self, pid: int) -> bool:
        return pid in self._runs

    def look(self, pid: int) -> Found | None:
        return self._runs.get(pid)

    def first_line(self, _pid: int, path: str) -> FirstLine | None:
        return LINES.get(path)


def test_what_asked_again_while_it_was_looked_at_is_not_judged_twice() -> None:
    told: list[ExecDiffers] = []
    runs = {1: Found("/usr/bin/curl", ("curl", "x"))}
    clock = Clock()
    looks: list[Callable[[], None]] = []
    checks = ExecChecks(
        clock,
        told.append,
        lambda: 7,
        Runs(runs),
        lambda do, then: looks.append(lambda: then(do())),
    )
    checks.allowed(GIT)
    clock.run()
    checks.asked_again(1, lambda: None)
    assert [look() for look in looks] == [None, None]
    assert [each.exe for each in told] == ["/usr/bin/curl"]


def test_a_process_that_goes_on_at_once_is_looked_at_before_it_does() -> None:
    told: list[ExecDiffers] = []
    runs = {1: Found("/usr/bin/git", ("git", "log"))}
    clock = Clock()
    checks = ExecChecks(clock, told.append, lambda: 7, Runs(runs), at_once)
    checks.allowed(GIT)
    checks.asked_again(1, lambda: None)  # git becomes less: nothing was exchanged
    checks.allowed(replace(GIT, path="less", program="/usr/bin/less", argv=("less",)))
    runs[1] = Found("/usr/bin/less", ("less",))
    clock.run()
    assert told == []
    checks.allowed(replace(GIT, exe="/usr/bin/less"))
    runs[1] = Found("/usr/bin/curl", ("curl", "x"))
    checks.asked_again(1, lambda: None)  # what it was exchanged for would be gone a moment later
    assert [(each.exe, each.argv) for each in told] == [("/usr/bin/curl", ("curl", "x"))]
    runs[1] = Found("/usr/bin/git", ("git", "log"))
    clock.run()
    assert len(told) == 1


def test_what_asks_again_goes_on_only_when_it_was_looked_at_and_told() -> None:
    said: list[str] = []
    looks: list[Callable[[], None]] = []
    checks = ExecChecks(
        Clock(),
        lambda differs: said.append(differs.exe),
        lambda: 7,
        Runs({1: Found("/usr/bin/curl", ("curl", "x"))}),
        lambda do, then: looks.append(lambda: then(do())),
    )
    checks.asked_again(1, lambda: said.append("first"))
    assert said == ["first"], "of one that nothing was promised of there is nothing to look at"
    checks.allowed(GIT)
    checks.asked_again(1, lambda: said.append("again"))
    checks.asked_again(1, lambda: said.append("by another thread"))
    checks.ended(1, lambda: said.append("ended"))
    checks.ended(2, lambda: said.append("another ended"))
    assert said == ["first", "another ended"]
    looks[0]()
    assert said[2:] == ["/usr/bin/curl", "again", "by another thread", "ended"]
    assert len(looks) == 1


def test_at_the_end_nothing_waits_for_a_look_any_more() -> None:
    said: list[str] = []
    checks = ExecChecks(Clock(), lambda _: None, lambda: 7, Runs({}), lambda _do, _then: None)
    checks.allowed(GIT)
    checks.asked_again(1, lambda: said.append("again"))
    checks.finish()
    checks.finish()
    assert said == ["again"]


@pytest.mark.parametrize(
    ("starter", "words"),
    [
        ("/usr/bin/env", ("env", "A=1", "/usr/bin/git", "log")),
        ("/usr/bin/bwrap", ("bwrap", "--args", "22", "--", "/usr/bin/git", "log")),
    ],
)
def test_what_starts_a_program_by_its_path_is_not_taken_for_it(
    starter: str, words: tuple[str, ...]
) -> None:
    told: list[ExecDiffers] = []
    runs = {1: Found(starter, words)}
    clock = Clock()
    checks = ExecChecks(clock, told.append, lambda: 7, Runs(runs), at_once)
    checks.allowed(replace(GIT, exe=starter))
    for _ in range(20):  # the kernel takes its time
        clock.due.pop(0)()
    assert told == []
    runs[1] = Found("/usr/bin/git", ("git", "log"))
    clock.run()
    assert told == []


def test_a_script_is_known_by_its_words_where_the_same_interpreter_ran_before() -> None:
    told: list[ExecDiffers] = []
    runs = {1: Found("/usr/bin/dash", ("/bin/sh", "./run.sh", "a"))}
    checks = ExecChecks(Clock(), told.append, lambda: 7, Runs(runs), at_once)
    checks.allowed(replace(SCRIPT, exe="/usr/bin/dash"))
    checks.asked_again(1, lambda: None)
    assert [each.argv for each in told] == [("/bin/sh", "./run.sh", "a")], "`-e` was left out"
