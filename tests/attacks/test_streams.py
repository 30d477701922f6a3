"""Standard streams that are files of the host: no way to more than they were given for."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.attacks.attempt import results
from tests.sandbox import jail
from tests.sandbox.jail import PYTHON, Outcome

from ringfence.domain.agent import SandboxTier
from ringfence.sandbox.plan import SandboxPlan

Streams = Mapping[int, Callable[[], int]]


def _run(plan: SandboxPlan, who: str, streams: Streams) -> str:
    """What a command prints on the streams that are not given."""

    def do() -> Outcome:
        out = os.memfd_create("out")
        given = [each() if (each := streams.get(number)) else out for number in range(3)]
        prepared = jail.PREPARE[plan.tier](plan, stdio=(given[0], given[1], given[2]))
        notifications = jail.watch(prepared, plan)
        prepared.go()
        outcome = Outcome()
        jail._follow(prepared, notifications, {}, outcome)  # noqa: SLF001 (with streams of our own)
        prepared.wait()
        os.lseek(out, 0, os.SEEK_SET)
        outcome.out = os.read(out, 1 << 16).decode()
        return outcome

    outcome = jail.as_user(who, do)
    assert not outcome.error, outcome
    return outcome.out


_WRITING = """
import os
def attempt(name, do):
    try:
        do()
    except OSError as error:
        print(f"{name}: {os.strerror(error.errno)}")
    else:
        print(f"{name}: DONE")
print("read:", input())
attempt("append", lambda: os.write(os.open("/proc/self/fd/0", os.O_WRONLY | os.O_APPEND), b"evil"))
attempt("empty", lambda: os.truncate("/proc/self/fd/0", 0))
attempt("mode by path", lambda: os.chmod("/proc/self/fd/0", 0o666))
attempt("mode", lambda: os.fchmod(0, 0o666))
attempt("times", lambda: os.utime(0, (1, 1)))
"""


def test_a_file_that_is_given_to_be_read_is_not_changed(
    tier: SandboxTier, who: str, root: Path
) -> None:
    given = root / "outside" / "given"
    given.write_text("before\nhere\n")
    given.chmod(0o640)
    jail.give(root, who)

    def opened() -> int:
        descriptor = os.open(given, os.O_RDONLY)
        os.lseek(descriptor, len("before\n"), os.SEEK_SET)
        return descriptor

    before = given.stat()
    found = results(_run(jail.plan_of(tier, root, [PYTHON, "-c", _WRITING]), who, {0: opened}))
    assert found.pop("read") == "here"
    assert set(found) == {"append", "empty", "mode by path", "mode", "times"}
    assert "DONE" not in found.values(), found
    assert given.read_text() == "before\nhere\n"
    after = given.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


_DEVICE = """
import os, sys
for number in (0, 1):
    try:  # the mode that it has: the machine's own must bear a test that fails
        os.fchmod(number, os.fstat(number).st_mode & 0o7777)
    except OSError as error:
        print(f"mode of {number}: {os.strerror(error.errno)}", file=sys.stderr)
    else:
        print(f"mode of {number}: DONE", file=sys.stderr)
os.write(1, b"x")
print("written: yes", file=sys.stderr)
"""


def test_nobody_changes_the_mode_of_a_device_that_is_given(
    tier: SandboxTier, who: str, root: Path
) -> None:
    """Root's agent is its owner to the kernel, and `/dev/null` is everybody's."""
    streams: Streams = {
        0: lambda: os.open(os.devnull, os.O_RDONLY),
        1: lambda: os.open(os.devnull, os.O_WRONLY),
    }
    jail.give(root, who)
    found = results(_run(jail.plan_of(tier, root, [PYTHON, "-c", _DEVICE]), who, streams))
    assert found.pop("written") == "yes"
    assert set(found) == {"mode of 0", "mode of 1"}
    assert "DONE" not in found.values(), found


@pytest.mark.parametrize("path", ["../secret", "../../outside/secret"])
def test_a_folder_that_is_given_leads_to_nothing_around_it(
    tier: SandboxTier, root: Path, path: str
) -> None:
    folder = root / "outside" / "folder"
    folder.mkdir()
    (folder.parent / "secret").write_text("canary")
    jail.give(root, "ordinary")
    plan = jail.plan_of(tier, root, ["sh", "-c", f"cat /proc/self/fd/0/{path}; echo over: yes"])
    out = _run(plan, "ordinary", {0: lambda: os.open(folder, os.O_RDONLY)})
    assert "over: yes" in out
    assert "canary" not in out
