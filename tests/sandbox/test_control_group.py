import os
import re
from pathlib import Path

import pytest
from tests.sandbox import jail
from tests.sandbox.jail import Outcome

from ringfence.domain.agent import SandboxTier
from ringfence.domain.error import UsageError
from ringfence.domain.sandbox import Bound
from ringfence.sandbox import control_group, limits
from ringfence.sandbox.control_group import Reached, make
from ringfence.sandbox.monitor import noted
from ringfence.sandbox.notification import ExecAsked, Notifications
from ringfence.sandbox.plan import SandboxLimits
from ringfence.transport.kernel import control_group as kernel

_NONE = SandboxLimits()


@pytest.fixture
def no_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a hierarchy to write to, such as a container."""
    monkeypatch.setattr(kernel, "hierarchies", lambda: ())


@pytest.fixture
def group_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hierarchy of version 2 whose files are plain ones, so that all that is written is seen."""
    (tmp_path / "cgroup.procs").write_text("")
    (tmp_path / "cgroup.controllers").write_text("pids memory")
    (tmp_path / "cgroup.subtree_control").write_text("pids memory")
    found = kernel.Hierarchy(version=2, mount=str(tmp_path), own=str(tmp_path))
    monkeypatch.setattr(kernel, "hierarchies", lambda: (found,))
    make_folder = os.mkdir

    def mkdir(path: str, mode: int = 0o777) -> None:
        make_folder(path, mode)
        if Path(path).name.startswith("ringfence-"):
            for name in ("pids.max", "memory.max", "memory.swap.max", "cpu.max", "cgroup.procs"):
                Path(path, name).write_text("")

    monkeypatch.setattr(os, "mkdir", mkdir)
    return tmp_path


def test_a_group_is_given_its_limits_and_lets_nothing_be_swapped_out(group_of: Path) -> None:
    made = make(SandboxLimits(processes=77, memory_bytes=300 << 20))
    (folder,) = group_of.glob("ringfence-*")
    assert (folder / "pids.max").read_text() == "77"
    assert (folder / "memory.max").read_text() == str(300 << 20)
    assert (folder / "memory.swap.max").read_text() == "0"
    assert made.bounds() == ("77 processes: cgroup v2", "300 MiB of memory: cgroup v2")
    assert made.paths == (str(folder),)


def test_without_a_word_a_sandbox_may_hold_three_quarters_of_what_we_may(group_of: Path) -> None:
    (group_of / "memory.max").write_text("4000000")
    assert make(_NONE).memory_bytes == 3_000_000


def test_nobody_has_more_than_the_groups_above_allow(group_of: Path) -> None:
    (group_of / "memory.max").write_text(str(200 << 20))
    (group_of / "pids.max").write_text("50")
    made = make(SandboxLimits(processes=77, memory_bytes=300 << 20))
    assert made.bounds() == ("50 processes: cgroup v2", "200 MiB of memory: cgroup v2")


def test_processor_time_is_bounded_where_that_is_asked_for(group_of: Path) -> None:
    (group_of / "cgroup.controllers").write_text("pids memory cpu")
    (group_of / "cgroup.subtree_control").write_text("pids memory cpu")
    made = make(SandboxLimits(processor_percent=150))
    (folder,) = group_of.glob("ringfence-*")
    assert (folder / "cpu.max").read_text() == "150000 100000"
    assert made.bounds()[2] == "150 % of a processor: cgroup v2"
    (group_of / "cpu.max").write_text("40000 50000")
    assert make(SandboxLimits(processor_percent=150)).processor_percent == 80
    assert len(make(_NONE).bounds()) == 2


@pytest.mark.usefixtures("group_of")
def test_processor_time_that_no_group_bounds_is_told_and_refused_if_one_must() -> None:
    made = make(SandboxLimits(processor_percent=150))
    assert made.lacking == ("cpu",)
    assert made.bounds()[2] == "processor time: no bound"
    with pytest.raises(UsageError) as caught:
        make(SandboxLimits(processor_percent=150, is_group_required=True))
    assert "a sandbox's processor time here" in caught.value.message
    assert "cpu" in caught.value.help


def test_a_group_that_would_bound_nothing_is_not_made(group_of: Path) -> None:
    (group_of / "cgroup.subtree_control").write_text("cpu")
    (group_of / "cgroup.controllers").write_text("cpu io")
    assert make(_NONE).paths == ()
    assert not list(group_of.glob("ringfence-*"))


def test_what_was_reached_is_counted(group_of: Path) -> None:
    made = make(_NONE)
    (folder,) = group_of.glob("ringfence-*")
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 31\noom 4\noom_kill 3\n")
    (folder / "pids.events").write_text("max 9\n")
    for each in folder.iterdir():
        if each.name not in {"memory.events", "pids.events"}:
            each.unlink()
    assert made.finish() == Reached(killed_for_memory=3, processes_refused=9)
    assert made.finish() == Reached()


@pytest.mark.usefixtures("no_groups")
def test_without_groups_the_record_says_what_is_left() -> None:
    processes = "processes: no bound" if os.geteuid() == 0 else "1024 processes: rlimit"
    assert make(_NONE).bounds() == (processes, "memory: no bound")
    address = make(SandboxLimits(address_bytes=900 << 20))
    assert address.bounds()[1] == "900 MiB of address space for each process: rlimit"
    assert address.memory is Bound.RLIMIT


@pytest.mark.usefixtures("no_groups")
def test_a_group_that_is_required_and_not_there_is_an_error_that_says_how_to_mend_it() -> None:
    with pytest.raises(UsageError) as caught:
        make(SandboxLimits(is_group_required=True))
    assert caught.value.code == "no_control_group"
    assert "processes and memory" in caught.value.message
    assert "--pids-limit" in caught.value.help


def test_a_group_that_takes_nobody_bounds_nobody(group_of: Path) -> None:
    made = make(_NONE)
    (folder,) = group_of.glob("ringfence-*")
    for each in folder.iterdir():
        each.unlink()
    made.take(os.getpid())
    assert made.bounds()[1] == "memory: no bound"
    assert not folder.exists()


def test_a_sandbox_whose_group_does_not_take_it_may_have_no_more_processes_for_that(
    tier: SandboxTier, who: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need(who, "pids")

    def takes_nobody(_group: kernel.ControlGroup, _pid: int) -> None:
        raise OSError

    monkeypatch.setattr(kernel.ControlGroup, "take", takes_nobody)
    monkeypatch.setattr(limits, "processes_of", lambda _uid: 1000)
    show = [jail.PYTHON, "-c", "import resource as r; print(*r.getrlimit(r.RLIMIT_NPROC))"]
    plan = jail.plan_of(tier, root, show, limits=SandboxLimits(processes=900))
    found = jail.run(plan, who=who, root=root)
    wanted = 1900 if tier is SandboxTier.REDUCED else 900
    assert found.out.split() == [str(wanted)] * 2, found


def test_a_required_group_that_takes_nobody_is_an_error(group_of: Path) -> None:
    made = make(SandboxLimits(is_group_required=True))
    (folder,) = group_of.glob("ringfence-*")
    for each in folder.iterdir():
        each.unlink()
    with pytest.raises(UsageError, match="no control group"):
        made.take(os.getpid())


def test_what_is_named_from_elsewhere_is_not_removed(tmp_path: Path) -> None:
    outside = tmp_path / "ringfence-1-a"
    outside.mkdir()
    (outside / "cgroup.procs").write_text("")
    control_group.reap([str(outside), f"/sys/fs/cgroup/../../{outside}"])
    assert outside.is_dir()


@pytest.mark.parametrize(
    ("reached", "words"),
    [
        (Reached(), ""),
        (
            Reached(killed_for_memory=1),
            "it reached its memory limit, and the kernel ended 1 process of it",
        ),
        (
            Reached(killed_for_memory=2, processes_refused=1),
            (
                "it reached its memory limit, and the kernel ended 2 processes of it; "
                "it reached its limit of processes, and could start no more 1 time"
            ),
        ),
    ],
)
def test_the_bounds_that_were_reached_are_told(reached: Reached, words: str) -> None:
    assert noted(reached) == words


def need(who: str, *controllers: str, limits: SandboxLimits = _NONE) -> None:
    """Skip where this user gets no group with these controllers."""

    def do() -> Outcome:
        with control_group.made(limits) as made:
            return Outcome(value=list(made.lacking))

    lacking = set(jail.as_user(who, do).value) & set(controllers)
    if lacking:
        what = f"a control group that counts {', '.join(sorted(lacking))}"
        pytest.skip(
            f"nobody has delegated to the {who} user {what} (control groups v2, by systemd)"
        )


def test_a_command_runs_in_its_group_which_goes_with_it(
    tier: SandboxTier, who: str, root: Path
) -> None:
    need(who, "pids")

    def do() -> Outcome:
        plan = jail.plan_of(tier, root, ["sleep", "30"])
        prepared = jail.prepare(plan)
        inside = [Path(each, "cgroup.procs").read_text().split() for each in prepared.groups]
        prepared.kill()
        prepared.wait()
        left = [each for each in prepared.groups if Path(each).exists()]
        return Outcome(value=[inside, str(prepared.pid), left, list(prepared.bounds)])

    jail.give(root, who)
    inside, pid, left, bounds = jail.as_user(who, do).value
    assert inside
    assert all(each == [pid] for each in inside)
    assert left == []
    assert bounds[0].startswith("1024 processes: cgroup")


_BOMB = """
import os, time
made = 0
try:
    for _ in range(400):
        if os.fork() == 0:
            time.sleep(30)
        made += 1
except OSError as error:
    print("refused", error.errno == 11, "at", made, flush=True)
os.killpg(0, 9)
"""


def test_a_fork_bomb_meets_its_bound_whoever_started_it(
    tier: SandboxTier, who: str, root: Path
) -> None:
    need(who, "pids")
    limits = SandboxLimits(processes=40, is_group_required=False)

    def do() -> Outcome:
        plan = jail.plan_of(tier, root, [jail.PYTHON, "-c", _BOMB], limits=limits)
        return jail.run_here(plan)

    jail.give(root, who)
    found = jail.as_user(who, do)
    words = found.out.split()
    assert words[:2] == ["refused", "True"], found
    assert int(words[3]) <= 40
    assert found.value["processes_refused"] >= 1
    assert jail.is_tree_gone(root)


_HOG = """
held = []
print("begun", flush=True)
for _ in range(400):
    held.append(b"x" * (1 << 20))
print("DONE", flush=True)
"""


def test_a_program_that_takes_too_much_memory_is_ended_and_it_is_told(
    tier: SandboxTier, who: str, root: Path
) -> None:
    need(who, "memory")
    limits = SandboxLimits(memory_bytes=100 << 20)
    script = f"{jail.PYTHON} -c '{_HOG}'; echo and the rest goes on"
    plan = jail.plan_of(tier, root, ["sh", "-c", script], limits=limits)
    jail.give(root, who)
    found = jail.as_user(who, lambda: jail.run_here(plan))
    assert found.out.splitlines() == ["begun", "and the rest goes on"], found
    assert found.value["killed_for_memory"] == 1


_BURN = """
import time
until = time.process_time() + 60
while time.process_time() < until:
    pass
"""


def test_a_program_may_run_no_more_than_its_sandbox_may(
    tier: SandboxTier, who: str, root: Path
) -> None:
    limited = SandboxLimits(processor_percent=5)
    need(who, "cpu", limits=limited)

    def do() -> Outcome:
        plan = jail.plan_of(tier, root, [jail.PYTHON, "-c", _BURN], limits=limited)
        prepared = jail.prepare(plan)
        calls = Notifications(prepared.notify_fd or -1, writable=prepared.writable)
        prepared.go()
        while not any(_held_back(each) for each in prepared.groups):
            for call in calls.calls(0.01):
                assert isinstance(call, ExecAsked)
                calls.allow(call.id)
        prepared.kill()
        prepared.wait()
        return Outcome(value=list(prepared.bounds))

    jail.give(root, who)
    assert jail.as_user(who, do).value[2].startswith("5 % of a processor: cgroup")


def _held_back(folder: str) -> bool:
    """Whether the kernel let a group wait for its next period."""
    found = re.search(r"nr_throttled ([1-9])", _text(Path(folder, "cpu.stat")))
    return found is not None


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""


_LOOK = """
import os
for place in ("/sys/fs/cgroup", "/sys/fs/cgroup/pids", "/sys"):
    try:
        print("seen", place, os.listdir(place))
    except OSError:
        pass
groups = [line.rstrip().split(":", 2)[2] for line in open("/proc/self/cgroup")]
print("groups", sorted(set(groups)))
for line in open("/proc/self/mountinfo"):
    if "cgroup" in line:
        place = line.split()[4]
        for group in groups:
            for name in ("pids.max", "memory.max", "memory.limit_in_bytes", "cgroup.procs"):
                for mode in ("r", "w"):
                    try:
                        open(f"{place}{group}/{name}", mode).close()
                        print("opened", place, group, name, mode)
                    except OSError:
                        pass
"""


def test_a_group_can_be_neither_read_nor_changed_from_within(
    tier: SandboxTier, who: str, root: Path
) -> None:
    plan = jail.plan_of(tier, root, [jail.PYTHON, "-c", _LOOK])
    found = jail.run(plan, who=who, root=root)
    assert found.exit_code == 0, found
    assert "seen" not in found.out
    assert "opened" not in found.out
    if tier is SandboxTier.STRICT:
        assert "ringfence-" not in found.out  # a namespace of its own; in reduced the name is seen
