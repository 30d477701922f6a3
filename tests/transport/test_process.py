import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path

import pytest

from ringfence.domain.error import UnsentError
from ringfence.transport.process import Child, Pace

ECHO = """
import os, sys
print("pid", os.getpid(), flush=True)
for line in sys.stdin:
    print("got", line.strip(), os.environ.get("GIVEN", ""), flush=True)
    print("secret is hunter2-hunter2", file=sys.stderr, flush=True)
"""


class Heard:
    """A `Listener`."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.over = asyncio.Event()
        self.why = ""

    def line(self, data: bytes) -> None:
        self.lines.put_nowait(data)

    def ended(self, why: str) -> None:
        self.why = why
        self.over.set()

    async def next(self) -> bytes:
        return await asyncio.wait_for(self.lines.get(), 60)


async def started(heard: Heard, code: str, **environment: str) -> Child:
    command = [sys.executable, "-c", code]
    return await Child.start("it", command, environment, heard, [b"hunter2-hunter2"])


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_process_speaks_in_lines_and_has_only_the_environment_it_was_given(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "never")

    async def run() -> None:
        heard = Heard()
        child = await started(heard, ECHO, GIVEN="this")
        assert (await heard.next()).startswith(b"pid ")
        child.send(b"hello")
        assert await heard.next() == b"got hello this"
        child.send(b"again")
        assert await heard.next() == b"got again this"
        await child.stop()
        assert not is_there(child.pid)

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    assert "(secret)" in caplog.text
    assert "hunter2" not in caplog.text


def test_whoever_waits_hears_that_it_has_ended() -> None:
    async def run() -> None:
        heard = Heard()
        child = await started(heard, "import sys; sys.exit(3)")
        await asyncio.wait_for(heard.over.wait(), 60)
        assert "exit code 3" in heard.why
        with pytest.raises(UnsentError):
            child.send(b"x")
        await child.stop()

    asyncio.run(run())


class Gone:
    """A transport of a process that has ended."""

    def get_returncode(self) -> int:
        return 3

    def get_pid(self) -> int:
        return 0

    def close(self) -> None:
        pass


def test_one_that_ends_before_its_start_is_over_tells_its_exit_code() -> None:
    async def run() -> None:
        heard = Heard()
        child = Child("it", heard, [])
        child.connection_made(Gone())  # type: ignore[arg-type] # what is asked of it
        child.process_exited()
        assert "exit code 3" in heard.why

    asyncio.run(run())


async def gone(pids: list[int]) -> None:
    """Wait until none of these processes is there."""
    async with asyncio.timeout(60):
        while any(is_there(pid) for pid in pids):  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.02)


STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
print(os.getpid(), inner.pid, flush=True)
time.sleep(100)
"""


def test_one_that_will_not_end_is_killed_with_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ringfence.transport.process._STOP_S", 0.2)

    async def run() -> None:
        heard = Heard()
        child = await started(heard, STUBBORN)
        pids = [int(each) for each in (await heard.next()).split()]
        await child.stop()
        await gone(pids)

    asyncio.run(run())


HOST = """
import asyncio, sys
from ringfence.transport.process import Child
class Heard:
    def line(self, data): print(data.decode(), flush=True)
    def ended(self, why): pass
async def run():
    await Child.start("it", [sys.executable, "-c", sys.argv[1]], {}, Heard())
    print("guarded", flush=True)
    await asyncio.sleep(100)
asyncio.run(run())
"""


def test_it_does_not_outlive_one_that_was_killed() -> None:
    async def run() -> None:
        source = str(Path(__file__).parents[2] / "src")
        host = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            HOST,
            STUBBORN,
            stdout=asyncio.subprocess.PIPE,
            env={"PYTHONPATH": source},
        )
        assert host.stdout is not None
        said = [await host.stdout.readline() for _ in range(2)]  # in either order
        said.remove(b"guarded\n")
        pids = [int(each) for each in said[0].split()]
        host.kill()
        await host.wait()
        try:
            await gone(pids)
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    asyncio.run(run())


def test_a_command_that_there_is_not_has_surely_seen_nothing() -> None:
    async def run() -> None:
        with pytest.raises(UnsentError, match="cannot be started"):
            await Child.start("it", ["/no/such/program"], {}, Heard())

    asyncio.run(run())


def test_what_keeps_ending_is_started_ever_later() -> None:
    pace = Pace()
    pace.begin(0)
    pace.ended(1)
    pace.begin(1)  # once is bad luck
    pace.ended(2)
    with pytest.raises(UnsentError, match="2 times in a row"):
        pace.begin(2.4)
    pace.begin(2.6)
    for _ in range(20):
        pace.ended(3)
    with pytest.raises(UnsentError):
        pace.begin(3 + Pace.LONGEST_S - 1)
    pace.begin(40)
    pace.ended(40 + Pace.STEADY_S)
    pace.begin(40 + Pace.STEADY_S)
