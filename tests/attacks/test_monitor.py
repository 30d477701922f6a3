"""What an agent does to the process that watches it: it is kept from nothing, and loses nothing."""

import os
from collections.abc import Iterator

import pytest
from tests.sandbox import jail
from tests.sandbox.conftest import need
from tests.sandbox.jail import PYTHON, Outcome
from tests.sandbox.whole import AGENT, WholePlane, standing

from ringfence.domain.agent import SandboxTier

_TIERS = ("strict", "reduced")
_NARROW = AGENT.replace('["*"]', "[python3, 'true', /var/*]")
_TIMES = 200


@pytest.fixture(scope="module")
def plane() -> Iterator[WholePlane]:
    with standing(*(_NARROW.format(name=f"a-{tier}", tier=tier) for tier in _TIERS)) as made:
        yield made


@pytest.fixture(params=_TIERS)
def agent(request: pytest.FixtureRequest) -> str:
    need(SandboxTier(request.param))
    return f"a-{request.param}"


_NO_SOCKET = f"""
import ctypes, os, socket, struct
connect = ctypes.CDLL(None).connect
file = os.open("/dev/null", os.O_RDONLY)
for address, port in (("192.0.2.1", 9), ("127.0.0.1", 9)):
    where = struct.pack("=H", 2) + struct.pack("!H", port) + socket.inet_aton(address) + bytes(8)
    for _ in range({_TIMES}):
        connect(file, where, 16)
"""


def test_connecting_what_is_no_socket_leaves_nothing_open(tier: SandboxTier) -> None:
    """Else the monitor could open nothing at the end, when it looks at what was left behind."""

    def do() -> Outcome:
        before = len(os.listdir("/proc/self/fd"))
        outcome = jail.run_here(plan)
        outcome.value = len(os.listdir("/proc/self/fd")) - before
        return outcome

    with jail.place() as root:
        plan = jail.plan_of(tier, root, [PYTHON, "-c", _NO_SOCKET], proxy=("127.0.0.1", 9))
        jail.give(root, "ordinary")
        outcome = jail.as_user("ordinary", do)
    assert outcome.exit_code == 0, outcome
    assert outcome.value < _TIMES


_LEASE = """
import fcntl, os, signal
signal.signal(signal.SIGIO, signal.SIG_IGN)
with open("held.sh", "w") as script:
    script.write("#!/bin/sh\\n")
os.chmod("held.sh", 0o755)
held = os.open("held.sh", os.O_RDONLY)
fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
waiting = os.fork()
if not waiting:
    os.execv("./held.sh", ["./held.sh"])
other = os.spawnv(os.P_WAIT, "/usr/bin/true", ["true"])
print("held" if fcntl.fcntl(held, fcntl.F_GETLEASE) != fcntl.F_UNLCK else "lost", other)
os.kill(waiting, signal.SIGKILL)
"""


def test_a_script_with_a_lease_on_it_keeps_no_other_command_waiting(
    plane: WholePlane, agent: str
) -> None:
    """Whoever opens it waits until its holder lets go (fcntl(2), "Leases")."""
    ran = plane.run(PYTHON, "-c", _LEASE, agent=agent)
    assert (ran.code, ran.out) == (0, "held 0\n"), ran


_FULL_TERMINAL = """
import os, pty
def filled(most):
    ours, theirs = pty.openpty()
    os.set_blocking(theirs, False)
    count = 0
    try:
        while count < most:
            count += os.write(theirs, b"x")
    except BlockingIOError:
        pass
    return ours, theirs, count
room = filled(1 << 20)[2]
refused = 0
for left in (1, 8, 20, 40):
    ours, theirs, _ = filled(room - left)
    os.set_blocking(theirs, True)
    child = os.fork()
    if not child:
        os.dup2(theirs, 2)
        try:
            os.execv("/usr/bin/cat", ["cat"])
        except PermissionError:
            os._exit(7)
    refused += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print("refused", refused)
"""


def test_a_terminal_with_too_little_room_holds_up_nobody(plane: WholePlane) -> None:
    """Its other side is the agent's, which does not read what it is told; reduced has none."""
    need(SandboxTier.STRICT)
    ran = plane.run(PYTHON, "-c", _FULL_TERMINAL, agent="a-strict")
    assert (ran.code, ran.out) == (0, "refused 4\n"), ran
