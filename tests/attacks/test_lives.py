"""What an agent gains when a part dies, stops, or when it grows without end: nothing."""

import os
import signal
import time
from pathlib import Path

import pytest
from tests.attacks.attempt import results
from tests.sandbox import jail
from tests.sandbox.jail import Outcome

from ringfence.domain.agent import SandboxTier
from ringfence.sandbox.notification import Notifications
from ringfence.sandbox.plan import SandboxLimits, SandboxPlan
from ringfence.sandbox.prepared import Prepared

_SURVIVOR = """
import os, signal, socket, subprocess, sys, time
if os.fork():
    time.sleep(300)
os.setsid()
said = open("said", "w", buffering=1)
said.write("ready: DONE\\n")
parent = os.getppid()
while os.path.exists("alive"):
    time.sleep(0.02)
for name, do in (
    ("exec", lambda: os.execv("/usr/bin/touch", ["touch", "executed"])),
    ("connect", lambda: socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)),
):
    try:
        if name == "exec" and os.fork():
            os.wait()
            time.sleep(0.5)
            continue
        do()
        said.write(f"{name}: DONE\\n")
    except OSError as error:
        said.write(f"{name}: {os.strerror(error.errno)}\\n")
    if name == "exec":
        os._exit(0)
said.write("over: DONE\\n")
"""


def _begun(plan: SandboxPlan) -> tuple[Prepared, Notifications]:
    prepared = jail.prepare(plan)
    notifications = jail.watch(prepared, plan)
    assert notifications is not None
    prepared.go()
    return prepared, notifications


def _until(path: Path, word: str, notifications: Notifications | None = None) -> str:
    """Wait until a file says it, answering what is asked meanwhile."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        if notifications:
            jail.answer(notifications, Outcome())
        text = path.read_text() if path.exists() else ""
        if word in text:
            return text
        time.sleep(0.01)
    return path.read_text() if path.exists() else ""


def test_a_killed_monitor_takes_the_sandbox_with_it(
    tier: SandboxTier, who: str, root: Path
) -> None:
    """Strict ends whole; what reduced leaves behind can neither execute nor connect."""
    workspace = root / "workspace"
    (workspace / "alive").write_text("")
    plan = jail.plan_of(tier, root, [jail.PYTHON, "-c", _SURVIVOR, "9"], proxy=("127.0.0.1", 9))

    def do() -> Outcome:
        monitor = os.fork()
        if monitor == 0:
            prepared, notifications = _begun(plan)
            _until(workspace / "said", "ready", notifications)
            (root / "outside" / "pid").write_text(str(prepared.pid))
            (workspace / "alive").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(monitor, 0)
        return Outcome(value=int((root / "outside" / "pid").read_text()))

    jail.give(root, who)
    command = jail.as_user(who, do).value
    ends = time.monotonic() + 60
    while not jail.is_tree_gone(root) and time.monotonic() < ends:
        time.sleep(0.02)
    said = results(_until(workspace / "said", "ready"))
    assert said["ready"] == "DONE"
    assert not (workspace / "executed").exists()
    if tier is SandboxTier.STRICT:
        assert said.keys() <= {"ready", "exec"}  # it may have got that far before its end
        assert said.get("exec") in {None, "Function not implemented"}
    else:
        # Whoever makes a sandbox next on this machine may end it first, where it has a group.
        nothing = (
            {"Function not implemented"} if "over" in said else {None, "Function not implemented"}
        )
        assert {said.get("exec"), said.get("connect")} <= nothing
    ends = time.monotonic() + 60
    while not jail.is_tree_gone(root) and time.monotonic() < ends:
        time.sleep(0.02)
    assert jail.is_tree_gone(root)
    assert not Path(f"/proc/{command}/exe").exists()  # gone, or waited for by nobody


def test_nothing_is_executed_while_the_monitor_is_stopped(tier: SandboxTier, root: Path) -> None:
    script = "while [ -e alive ]; do :; done; /usr/bin/touch executed"
    plan = jail.plan_of(tier, root, ["sh", "-c", script])
    workspace = root / "workspace"
    (workspace / "alive").write_text("")
    jail.give(root, "ordinary")

    def do() -> Outcome:
        prepared, notifications = _begun(plan)
        outcome = Outcome()
        while not outcome.execs:
            jail.answer(notifications, outcome)
        (workspace / "alive").unlink()
        time.sleep(0.5)  # as a monitor that is stopped: nobody reads
        before = (workspace / "executed").exists()
        ends = time.monotonic() + 60
        while not notifications.is_over and time.monotonic() < ends:
            jail.answer(notifications, outcome)
        prepared.wait()
        return Outcome(value=[before, (workspace / "executed").exists()])

    assert jail.as_user("ordinary", do).value == [False, True]


def test_a_closed_notify_descriptor_ends_every_exec(tier: SandboxTier, root: Path) -> None:
    script = "while [ -e alive ]; do :; done; /usr/bin/touch executed; echo $? > code"
    plan = jail.plan_of(tier, root, ["sh", "-c", script])
    workspace = root / "workspace"
    (workspace / "alive").write_text("")
    jail.give(root, "ordinary")

    def do() -> Outcome:
        prepared, notifications = _begun(plan)
        outcome = Outcome()
        while not outcome.execs:
            jail.answer(notifications, outcome)
        notifications.close()
        (workspace / "alive").unlink()
        prepared.wait()
        return Outcome(value=(workspace / "code").read_text())

    assert int(jail.as_user("ordinary", do).value) != 0
    assert not (workspace / "executed").exists()


def test_processes_files_and_memory_have_bounds(tier: SandboxTier, root: Path) -> None:
    program = """
import errno, os, resource, signal, time
def told(name, error):
    print(f"{name}: {errno.errorcode[error.errno]}", flush=True)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    with open("large", "wb", 0) as file:
        for _ in range(40):
            file.write(bytes(1 << 20))
    print("file: DONE")
except OSError as error:
    told("file", error)
place = os.environ.get("TMPDIR", "/tmp")
try:
    for number in range(4):
        with open(f"{place}/{number}", "wb", 0) as file:
            for _ in range(6):
                if file.write(bytes(1 << 20)) < 1 << 20:
                    raise OSError(errno.ENOSPC, "short")
    print("temporary: DONE")
except OSError as error:
    told("temporary", error)
made = []
try:
    for _ in range(200):
        pid = os.fork()
        if pid == 0:
            time.sleep(20)
        made.append(pid)
    print("processes: DONE")
except OSError as error:
    told("processes", error)
print("made:", len(made))
try:
    [os.open("/dev/null", 0) for _ in range(200)]
    print("descriptors: DONE")
except OSError as error:
    told("descriptors", error)
print("core:", resource.getrlimit(resource.RLIMIT_CORE)[1])
try:
    resource.setrlimit(resource.RLIMIT_NPROC, (5000, 5000))
    print("raise: DONE")
except (ValueError, OSError):
    print("raise: refused")
print(end="", flush=True)
os.killpg(0, 9)
"""
    limits = SandboxLimits(
        processes=50, open_files=100, file_bytes=8 << 20, temporary_bytes=10 << 20
    )
    plan = jail.plan_of(tier, root, [jail.PYTHON, "-c", program], limits=limits)
    outcome = jail.run(plan, root=root)
    found = results(outcome.out)
    assert "raise" in found, outcome
    assert found["file"] == "EFBIG"
    assert found["processes"] == "EAGAIN"
    if tier is SandboxTier.STRICT:  # reduced counts with whatever else the user runs meanwhile
        assert int(found["made"]) <= 50
    assert found["descriptors"] == "EMFILE"
    assert found["core"] == "0"
    assert found["raise"] == "refused"
    if tier is SandboxTier.STRICT:
        assert found["temporary"] == "ENOSPC"
    assert jail.is_tree_gone(root)


_TERMINAL = """
import ctypes, errno, fcntl, os
libc = ctypes.CDLL(None, use_errno=True)
for name, request in (("TIOCSTI", 0x5412), ("TIOCSTI high", 0x5412 + (1 << 32)),
                      ("TIOCLINUX", 0x541C), ("TIOCLINUX high", 0x541C + (7 << 40)), ("TIOCSETD", 0x5423)):
    byte = ctypes.create_string_buffer(b"x")
    done = libc.syscall(ctypes.c_long(%d), ctypes.c_long(0), ctypes.c_long(request), byte) == 0
    print(f"{name}: " + ("DONE" if done else errno.errorcode[ctypes.get_errno()]))
try:
    os.close(os.open("/dev/tty", os.O_RDWR))
    print("own terminal: yes")
except OSError as error:
    print("own terminal:", errno.errorcode[error.errno])
"""


@pytest.mark.parametrize("is_interactive", [True, False])
def test_no_input_is_put_into_a_terminal(
    tier: SandboxTier, who: str, root: Path, is_interactive: bool
) -> None:
    from ringfence.transport.kernel.syscall import architecture  # noqa: PLC0415 (of Linux alone)

    program = _TERMINAL % architecture().numbers["ioctl"]
    plan = jail.plan_of(tier, root, [jail.PYTHON, "-c", program], is_interactive=is_interactive)
    jail.give(root, who)

    def do() -> Outcome:
        ours, theirs = os.openpty()
        terminal = theirs
        prepared = jail.PREPARE[tier](plan, stdio=(terminal, terminal, terminal))
        notifications = jail.watch(prepared, plan)
        assert notifications is not None
        prepared.go()
        ends = time.monotonic() + 60
        while not notifications.is_over and time.monotonic() < ends:
            jail.answer(notifications, Outcome())
        reading = prepared.terminal if prepared.terminal is not None else ours
        said = b""
        while not said.endswith(b"\n") or b"own terminal" not in said:
            said += os.read(reading, 4096)  # a terminal hands on what it has when it gets to it
        prepared.wait()
        return Outcome(out=said.decode().replace("\r", ""))

    outcome = jail.as_user(who, do)
    found = results(outcome.out)
    own = found.pop("own terminal")
    assert set(found.values()) == {"EPERM"}, outcome
    assert len(found) == 5
    assert (own == "yes") == is_interactive


def test_a_process_of_the_same_user_is_out_of_reach(
    tier: SandboxTier, who: str, root: Path
) -> None:
    program = """
import ctypes, errno, os, signal, sys
target = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
def tell(name, do):
    try:
        do()
        print(f"{name}: DONE")
    except OSError as error:
        print(f"{name}: {errno.errorcode[error.errno]}")
for part in ("environ", "mem", "maps", "fd", "cwd", "root", "exe", "stack", "io"):
    path = f"/proc/{target}/{part}"
    tell(part, lambda: os.readlink(path) if part in ("cwd", "root", "exe") else os.readlink(path + "/0") if part == "fd" else os.read(os.open(path, 0), 10))
tell("signal", lambda: os.kill(target, 0))
tell("term", lambda: os.kill(target, signal.SIGTERM))
tell("pidfd", lambda: signal.pidfd_send_signal(os.pidfd_open(target), 0))
tell("everybody", lambda: [os.kill(int(p), 0) for p in os.listdir("/proc") if p.isdigit() and p == str(target)] or os.kill(target, 0))
def limit():
    ctypes.set_errno(0)
    if libc.prlimit(target, 7, (ctypes.c_uint64 * 2)(1, 1), None):
        raise OSError(ctypes.get_errno(), "")
tell("limit", limit)
tell("priority", lambda: os.setpriority(os.PRIO_PROCESS, target, 19))
tell("affinity", lambda: os.sched_setaffinity(target, {0}))
"""

    def do() -> Outcome:
        target = os.fork()
        if target == 0:
            time.sleep(20)
            os._exit(0)
        plan = jail.plan_of(tier, root, [jail.PYTHON, "-c", program, str(target)])
        found = jail.run_here(plan)
        still = os.waitpid(target, os.WNOHANG) == (0, 0)
        os.kill(target, signal.SIGKILL)
        os.waitpid(target, 0)
        found.value = still
        return found

    jail.give(root, who)
    found = jail.as_user(who, do)
    succeeded = {name for name, said in results(found.out).items() if said == "DONE"}
    assert succeeded == set(), found
    assert len(results(found.out)) == 16
    assert found.value is True
