import errno
import os
import signal
from pathlib import Path
from typing import Any, NoReturn

from tests.transport.kernel.child import in_child, needs_linux

from ringfence.sandbox.launch import GO, Confined, Failure, Launched, Progress, launch
from ringfence.sandbox.trouble import StepName

pytestmark = needs_linux


def _stdio() -> tuple[int, int, int]:
    null = os.open(os.devnull, os.O_RDWR)
    return null, null, null


def test_the_child_waits_until_it_may_go_on(tmp_path: Path) -> None:
    def confine(progress: Progress) -> Confined:
        with progress.at(StepName.SYSTEM):
            reading, writing = os.pipe()

        def go_on() -> NoReturn:
            (tmp_path / "went").write_text("on")
            os._exit(5)

        return Confined([reading, writing], ["one", "two"], go_on)

    def do() -> list[Any]:
        found = launch(confine, stdio=_stdio(), is_interactive=False)
        assert isinstance(found, Launched)
        before = (tmp_path / "went").exists()
        found.channel.send(GO)
        _, status = os.waitpid(found.pid, 0)
        return [
            before,
            list(found.names),
            len(found.descriptors),
            os.waitstatus_to_exitcode(status),
        ]

    assert in_child(do) == [False, ["one", "two"], 2, 5]
    assert (tmp_path / "went").exists()


def test_a_child_whose_parent_says_nothing_more_goes_nowhere(tmp_path: Path) -> None:
    def go_on() -> NoReturn:
        (tmp_path / "went").write_text("on")
        os._exit(5)

    def do() -> int:
        found = launch(lambda _: Confined([], [], go_on), stdio=_stdio(), is_interactive=False)
        assert isinstance(found, Launched)
        found.channel.close()
        return os.waitstatus_to_exitcode(os.waitpid(found.pid, 0)[1])

    assert in_child(do) == 126
    assert not (tmp_path / "went").exists()


def test_a_failure_names_its_step_reason_and_place() -> None:
    def confine(progress: Progress) -> Confined:
        with progress.at(StepName.NAMESPACES):
            pass
        with progress.at(StepName.MOUNTS):
            raise FileNotFoundError(errno.ENOENT, "gone", "/w/x")

    def do() -> list[Any]:
        found = launch(confine, stdio=_stdio(), is_interactive=False)
        assert isinstance(found, Failure)
        return [found.step, found.code, found.place, list(found.taken)]

    assert in_child(do) == ["mounts", errno.ENOENT, "/w/x", ["namespaces"]]


def test_what_nobody_expected_in_the_child_is_named() -> None:
    def confine(_: Progress) -> Confined:
        raise UnicodeError

    def do() -> list[Any]:
        found = launch(confine, stdio=_stdio(), is_interactive=False)
        assert isinstance(found, Failure)
        return [found.step, found.code, found.place]

    assert in_child(do) == ["system", 0, "UnicodeError"]


def test_a_child_that_dies_in_the_middle_is_a_failure() -> None:
    def confine(_: Progress) -> Confined:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def do() -> str:
        found = launch(confine, stdio=_stdio(), is_interactive=False)
        assert isinstance(found, Failure)
        return found.step

    assert in_child(do) == "start"


def test_an_interactive_child_has_a_terminal_of_its_own() -> None:
    def go_on() -> NoReturn:
        os.write(1, f"{os.isatty(0)} {os.getsid(0) == os.getpid()} {os.ttyname(0)}".encode())
        os.close(os.open("/dev/tty", os.O_RDWR))  # fails without a controlling terminal
        os._exit(0)

    def do() -> list[Any]:
        found = launch(lambda _: Confined([], [], go_on), stdio=_stdio(), is_interactive=True)
        assert isinstance(found, Launched)
        assert found.terminal is not None
        found.channel.send(GO)
        said = os.read(found.terminal, 1000).decode()
        return [said, os.waitstatus_to_exitcode(os.waitpid(found.pid, 0)[1])]

    said, code = in_child(do)
    assert said.startswith("True True /dev/pts/")
    assert code == 0


def test_signals_that_were_ignored_are_not_for_the_child() -> None:
    def go_on() -> NoReturn:
        kinds = [signal.getsignal(each) for each in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM)]
        os._exit(0 if kinds == [signal.SIG_DFL] * 3 and not signal.pthread_sigmask(0, ()) else 1)

    def do() -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        found = launch(lambda _: Confined([], [], go_on), stdio=_stdio(), is_interactive=False)
        assert isinstance(found, Launched)
        found.channel.send(GO)
        return os.waitstatus_to_exitcode(os.waitpid(found.pid, 0)[1])

    assert in_child(do) == 0
