"""What an agent does to the process that watches it: it is kept from nothing, and loses nothing."""

import os

from tests.sandbox import jail
from tests.sandbox.jail import PYTHON, Outcome
from tests.sandbox.whole import AGENT, standing

from ringfence.domain.agent import SandboxTier

_NARROW = AGENT.replace('["*"]', "[python3]")
_TIMES = 200


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


def test_a_terminal_with_too_little_room_holds_up_nobody(strict_tier: SandboxTier) -> None:
    """Its other side is the agent's, which does not read what it is told; reduced has none."""
    with standing(_NARROW.format(name="a", tier=strict_tier.value)) as plane:
        ran = plane.run(PYTHON, "-c", _FULL_TERMINAL)
    assert (ran.code, ran.out) == (0, "refused 4\n"), ran
