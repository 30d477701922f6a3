import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.sandbox import jail
from tests.sandbox.jail import Outcome
from tests.transport.kernel.child import needs_linux

from ringfence.domain.agent import SandboxTier
from ringfence.sandbox.launch import Launched
from ringfence.sandbox.prepared import Prepared, children

pytestmark = needs_linux


def was_killed(found: Outcome) -> bool:
    """Whoever stands between may see its child killed, and say so, before it is killed itself."""
    return found.signal == signal.SIGKILL or found.exit_code == 128 + signal.SIGKILL


def test_nothing_of_the_command_runs_before_it_may_go(
    tier: SandboxTier, who: str, root: Path
) -> None:
    plan = jail.plan_of(tier, root, ["touch", "made"])

    def do() -> Outcome:
        prepared = jail.prepare(plan)
        time.sleep(0.2)
        prepared.kill()
        ended = prepared.wait()
        return Outcome(exit_code=ended.exit_code, signal=ended.signal)

    found = jail.as_user(who, do)
    assert was_killed(found), found
    assert not (root / "workspace" / "made").exists()


def test_what_has_ended_is_sent_no_signal_that_another_would_get() -> None:
    """While the workspace is looked at, a person may still press Ctrl-C, and time may run out."""
    ours, theirs = socket.socketpair()
    pid = os.posix_spawn("/usr/bin/true", ["true"], {})
    prepared = Prepared(Launched(pid=pid, channel=ours, descriptors=[], names=[], taken=[]))
    assert prepared.wait().exit_code == 0
    theirs.close()
    with subprocess.Popen(["/usr/bin/sleep", "60"], start_new_session=True) as other:
        prepared.pid = other.pid  # as if the kernel had given the number anew
        prepared.signal(signal.SIGTERM)
        prepared.kill()
        time.sleep(0.05)
        assert other.poll() is None
        other.kill()


def test_everything_ends_with_the_command(tier: SandboxTier, who: str, root: Path) -> None:
    script = "(setsid sh -c 'trap \"\" HUP TERM; sleep 30; touch late' &) ; sleep 0.1; exit 3"
    found = jail.run(jail.plan_of(tier, root, ["sh", "-c", script]), who=who, root=root)
    assert found.exit_code == 3
    assert jail.is_tree_gone(root)


def test_a_killed_sandbox_leaves_nothing(tier: SandboxTier, who: str, root: Path) -> None:
    plan = jail.plan_of(
        tier, root, ["sh", "-c", "for i in 1 2 3; do setsid sleep 30 & done; sleep 30"]
    )

    def do() -> Outcome:
        prepared = jail.prepare(plan)
        notifications = jail.watch(prepared, plan)
        assert notifications is not None
        prepared.go()
        outcome = Outcome()
        ends = time.monotonic() + 60
        while len(outcome.execs) < 8 and time.monotonic() < ends:
            jail.answer(notifications, outcome)
        prepared.kill()
        ended = prepared.wait()
        outcome.signal, outcome.exit_code = ended.signal, ended.exit_code
        return outcome

    found = jail.as_user(who, do)
    assert was_killed(found), found
    assert jail.is_tree_gone(root)


def test_a_signal_is_passed_on_to_the_command(tier: SandboxTier, root: Path) -> None:
    script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    plan = jail.plan_of(tier, root, ["sh", "-c", script])

    def do() -> Outcome:
        prepared = jail.prepare(plan)
        notifications = jail.watch(prepared, plan)
        assert notifications is not None
        prepared.go()
        outcome = Outcome()
        ends = time.monotonic() + 60
        while len(outcome.execs) < 3 and time.monotonic() < ends:
            jail.answer(notifications, outcome)
        prepared.signal(signal.SIGTERM)
        while not notifications.is_over and time.monotonic() < ends:
            jail.answer(notifications, outcome)
        outcome.exit_code = prepared.wait().exit_code
        return outcome

    found = jail.as_user("ordinary", do)
    assert found.exit_code == 9, found


def test_ctrl_c_ends_a_script_and_what_it_waits_for(tier: SandboxTier, root: Path) -> None:
    plan = jail.plan_of(tier, root, ["bash", "-c", "sleep 300; echo went on"])

    def do() -> Outcome:
        prepared = jail.prepare(plan)
        notifications = jail.watch(prepared, plan)
        assert notifications is not None
        is_early = prepared.signal(signal.SIGINT) if tier is SandboxTier.STRICT else False
        prepared.go()
        outcome = Outcome()
        ends = time.monotonic() + 30
        while len(outcome.execs) < 2 and time.monotonic() < ends:
            jail.answer(notifications, outcome)
        while not notifications.is_over and time.monotonic() < ends:
            prepared.signal(signal.SIGINT)  # bash may be between its commands
            jail.answer(notifications, outcome)
        ended = prepared.wait()
        outcome.exit_code, outcome.signal, outcome.value = ended.exit_code, ended.signal, is_early
        return outcome

    found = jail.as_user("ordinary", do)
    assert found.value is False, "there was no command yet"
    assert found.exit_code == 128 + signal.SIGINT or found.signal == signal.SIGINT, found


def test_what_a_sandbox_used_is_counted_with_all_its_processes(
    tier: SandboxTier, root: Path
) -> None:
    burn = "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'"
    found = jail.run(jail.plan_of(tier, root, ["sh", "-c", f"{burn}; {burn}"]), root=root)
    assert found.value["user_s"] > 0.02


def test_children_are_those_of_one_process() -> None:
    pid = os.fork()
    if pid == 0:
        signal.pause()
    assert pid in children(os.getpid())
    assert children(pid) == []
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
