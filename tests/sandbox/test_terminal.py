import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from tests.planes import soon

from ringfence.sandbox.terminal import TerminalRelay


class Stage:
    """Two terminals: ours with a person before it, and the sandbox's with an agent behind it."""

    def __init__(self) -> None:
        self.person, self.ours = pty.openpty()
        self.side, self.agent = pty.openpty()
        self.seen: list[bytes] = []
        self.size(self.ours, 40, 132)
        self.relay = TerminalRelay(
            self.side, keyboard=self.ours, screen=self.ours, seen=self.seen.append
        )

    @staticmethod
    def size(descriptor: int, rows: int, columns: int) -> None:
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    @staticmethod
    def rows(descriptor: int) -> int:
        found: int = struct.unpack("4H", fcntl.ioctl(descriptor, termios.TIOCGWINSZ, b"\0" * 8))[0]
        return found

    def close(self) -> None:
        for each in (self.person, self.ours, self.agent):
            os.close(each)


@contextlib.contextmanager
def behind(stage: Stage, *options: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Bash, as the leader of a session with the agent's terminal; none is left after a failure."""
    with subprocess.Popen(  # noqa: S603 (our own words)
        ["/bin/bash", *options],
        stdin=stage.agent,
        stdout=stage.agent,
        stderr=stage.agent,
        env={"PS1": "$ ", "PATH": "/usr/bin:/bin", "TERM": "dumb"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 (it calls nothing else)
    ) as shell:
        try:
            yield shell
        finally:
            shell.kill()


async def read(descriptor: int, least: int) -> bytes:
    said = b""
    async with asyncio.timeout(60):
        while len(said) < least:
            said += await asyncio.to_thread(os.read, descriptor, 4096)
    return said


def play(story: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        stage = Stage()
        stage.relay.begin()
        try:
            await story(stage)
        finally:
            await stage.relay.finish()
            stage.close()

    asyncio.run(main())


def test_what_the_agent_prints_is_shown_and_seen() -> None:
    async def story(stage: Stage) -> None:
        os.write(stage.agent, b"hello")
        assert await read(stage.person, 5) == b"hello"
        assert b"".join(stage.seen) == b"hello"

    play(story)


def test_what_is_typed_reaches_the_agent_and_ctrl_c_is_only_a_key() -> None:
    async def story(stage: Stage) -> None:
        mode = termios.tcgetattr(stage.agent)
        mode[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG)
        termios.tcsetattr(stage.agent, termios.TCSANOW, mode)
        os.write(stage.person, b"ls\x03\r")
        assert await read(stage.agent, 4) == b"ls\x03\n"

    play(story)


def test_the_sandboxs_terminal_has_the_size_of_ours_and_follows_it() -> None:
    async def story(stage: Stage) -> None:
        assert stage.rows(stage.agent) == 40
        stage.size(stage.ours, 50, 100)
        os.kill(os.getpid(), signal.SIGWINCH)
        await soon(lambda: stage.rows(stage.agent) == 50)

    play(story)


def test_what_was_typed_before_it_began_reaches_the_agent() -> None:
    async def main() -> None:
        stage = Stage()
        os.write(stage.person, b"early\n")
        await asyncio.sleep(0.02)
        stage.relay.begin()
        assert (await read(stage.agent, 6)).strip() == b"early"
        await stage.relay.finish()
        stage.close()

    asyncio.run(main())


def test_our_terminal_is_given_back_as_it_was() -> None:
    async def main() -> None:
        stage = Stage()
        before = termios.tcgetattr(stage.ours)
        stage.relay.begin()
        assert termios.tcgetattr(stage.ours)[3] != before[3]
        os.write(stage.agent, b"last words")
        await stage.relay.finish()
        assert termios.tcgetattr(stage.ours)[3] == before[3]
        assert await read(stage.person, 10) == b"last words"
        stage.close()

    asyncio.run(main())


def test_an_agent_that_reads_nothing_holds_nobody_up() -> None:
    async def story(stage: Stage) -> None:
        mode = termios.tcgetattr(stage.agent)
        mode[3] &= ~(termios.ICANON | termios.ECHO)
        termios.tcsetattr(stage.agent, termios.TCSANOW, mode)
        typed = 0
        os.set_blocking(stage.person, False)
        for _ in range(200):
            try:
                typed += os.write(stage.person, b"x" * 1024)
            except BlockingIOError:
                break
            await asyncio.sleep(0)
        os.write(stage.agent, b"still here")
        os.set_blocking(stage.person, True)
        assert b"still here" in await read(stage.person, 10)
        assert typed > 0

    play(story)


def test_a_keyboard_that_is_gone_ends_only_the_typing() -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        stage = Stage()
        relay = TerminalRelay(
            stage.side, keyboard=reading, screen=stage.ours, seen=stage.seen.append
        )
        relay.begin()
        os.close(writing)
        await asyncio.sleep(0.02)
        os.write(stage.agent, b"on")
        assert await read(stage.person, 2) == b"on"
        await relay.finish()
        os.close(reading)
        stage.close()

    asyncio.run(main())


def test_a_command_that_suspends_itself_goes_on() -> None:
    async def story(stage: Stage) -> None:
        line = "trap 'echo on; exit' CONT; echo ready; while :; do sleep 0.05; done"
        with behind(stage, "-c", line) as command:
            assert await read(stage.person, 7) == b"ready\r\n"
            os.write(stage.person, b"\x1a")
            said = b""
            while b"on\r\n" not in said:
                said += await read(stage.person, 1)
            await asyncio.to_thread(command.wait, 60)

    play(story)


def test_a_job_that_a_shell_has_suspended_stays_so() -> None:
    async def story(stage: Stage) -> None:
        with behind(stage, "--norc", "-i") as shell:
            said = b""
            for keys, wanted in (
                (b"", b"$ "),
                # The job itself says that it is in front: a key before that goes to the shell.
                (b"sh -c 'echo go; exec sleep 60'\n", b"go\r\n"),
                (b"\x1a", b"Stopped"),
            ):
                os.write(stage.person, keys)
                while wanted not in said:
                    said += await read(stage.person, 1)
                said = b""
            await asyncio.sleep(0.7)
            os.write(stage.person, b"jobs; kill %1; exit; exit\n")
            while b"sleep 60" not in said.partition(b"kill %1")[2]:
                said += await read(stage.person, 1)
            assert b"Running" not in said
            await asyncio.to_thread(shell.wait, 60)

    play(story)
