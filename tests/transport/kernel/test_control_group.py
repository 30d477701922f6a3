import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.transport.kernel.child import needs_linux

from ringfence.transport.kernel import control_group, setting
from ringfence.transport.kernel.control_group import Hierarchy, hierarchies, least, make, place

_HYBRID_GROUPS = "9:name=systemd:/\n8:pids:/a\n4:memory:/api/one\n1:cpu,cpuacct:/\n0::/\n"
_HYBRID_MOUNTS = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime shared:9 - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""


def test_a_hybrid_machine_has_a_hierarchy_for_each_controller() -> None:
    found = {each.mount: each for each in hierarchies(_HYBRID_GROUPS, _HYBRID_MOUNTS)}
    root = "/sys/fs/cgroup"
    assert found[f"{root}/memory"].own == f"{root}/memory/api/one"
    assert found[f"{root}/memory"].controllers == {"memory"}
    assert found[f"{root}/pids"].own == f"{root}/pids/a"
    assert (found[f"{root}/unified"].version, found[f"{root}/unified"].own) == (
        2,
        f"{root}/unified",
    )
    assert found[f"{root}/cpu"].controllers == {"cpu"}
    assert found[f"{root}/systemd"].controllers == frozenset()
    assert list(found[f"{root}/memory"].chain) == [
        f"{root}/memory/api/one",
        f"{root}/memory/api",
        f"{root}/memory",
    ]


@pytest.mark.parametrize(
    ("group", "mount", "own"),
    [
        ("0::/user.slice/x", "25 1 0:2 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw", "/user.slice/x"),
        # As in a container that sees only its own part of the tree.
        ("0::/docker/1/in", "25 1 0:2 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup rw", "/in"),
        ("0::/docker/1", "25 1 0:2 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup rw", ""),
    ],
)
def test_the_own_group_is_found_below_what_is_mounted(group: str, mount: str, own: str) -> None:
    (found,) = hierarchies(group, mount)
    assert found.own == "/sys/fs/cgroup" + own


@pytest.mark.parametrize(
    ("group", "mount"),
    [
        ("0::/", "25 1 0:2 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw"),
        ("0::/", "25 1 0:2 / /sys/fs/cgroup rw - cgroup2 cgroup ro"),
        ("0::/../other", "25 1 0:2 /mine /sys/fs/cgroup rw - cgroup2 cgroup rw"),
        ("3:cpu:/", "25 1 0:2 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids"),
        ("0::/", "25 1 0:2 / /tmp rw - tmpfs tmpfs rw"),
        ("", ""),
    ],
)
def test_what_is_read_only_or_shows_other_groups_is_of_no_use(group: str, mount: str) -> None:
    assert hierarchies(group, mount) == ()


def test_a_mount_with_a_space_in_its_name_is_found() -> None:
    (found,) = hierarchies("0::/", "25 1 0:2 / /a\\040b rw - cgroup2 cgroup2 rw")
    assert found.mount == "/a b"


def _tree(root: Path, groups: dict[str, dict[str, str]]) -> Hierarchy:
    """Folders that look like groups; the last is our own."""
    for name, files in groups.items():
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.procs").write_text("")
        for file, text in files.items():
            (folder / file).write_text(text)
    return Hierarchy(version=2, mount=str(root), own=str(root / list(groups)[-1]))


_BOTH = {"cgroup.controllers": "cpu memory pids", "cgroup.subtree_control": "memory pids"}


def test_a_group_that_has_processes_is_passed_over_for_the_one_above(tmp_path: Path) -> None:
    own = {
        "cgroup.type": "domain",
        "cgroup.procs": "12",
        "cgroup.controllers": "memory pids",
        "cgroup.subtree_control": "",
    }
    app = _BOTH | {"cgroup.type": "domain"}
    found = _tree(tmp_path, {"user": _BOTH, "user/app": app, "user/app/scope": own})
    assert place(found) == (f"{tmp_path}/user/app", frozenset({"memory", "pids"}))
    assert (tmp_path / "user/app/scope/cgroup.subtree_control").read_text() == ""


def test_controllers_are_turned_on_where_no_process_is(tmp_path: Path) -> None:
    service = {
        "cgroup.type": "domain",
        "cgroup.controllers": "memory pids",
        "cgroup.subtree_control": "",
    }
    own = {"cgroup.type": "domain", "cgroup.procs": "12"}
    place(_tree(tmp_path, {"service": service, "service/run": own}))
    assert (tmp_path / "service/cgroup.subtree_control").read_text() == "+pids +memory"


def test_a_threaded_group_can_hold_no_group_of_ours(tmp_path: Path) -> None:
    found = _tree(tmp_path, {"a": _BOTH | {"cgroup.type": "domain threaded"}})
    found = Hierarchy(version=2, mount=found.own, own=found.own)
    assert place(found) is None


def test_the_least_limit_above_us_counts(tmp_path: Path) -> None:
    found = _tree(
        tmp_path, {"a": {"memory.max": "5000"}, "a/b": {"memory.max": "max"}, "a/b/c": {}}
    )
    assert least(found, "memory.max") == 5000
    assert least(found, "pids.max") is None


def test_what_the_groups_above_may_run_is_known_in_both_versions(tmp_path: Path) -> None:
    second = _tree(
        tmp_path / "2",
        {"a": {"cpu.max": "150000 100000"}, "a/b": {"cpu.max": "max 100000"}, "a/b/c": {}},
    )
    assert control_group.least_processors(second) == 150
    groups = {
        "a": {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"},
        "a/b": {"cpu.cfs_quota_us": "5000", "cpu.cfs_period_us": "50000"},
    }
    first = _tree(tmp_path / "1", groups)
    first = Hierarchy(version=1, mount=first.mount, own=first.own)
    assert control_group.least_processors(first) == 10
    assert control_group.least_processors(_tree(tmp_path / "0", {"a": {}})) is None


def test_a_controller_that_cannot_be_turned_on_keeps_no_other_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = {
        "cgroup.type": "domain",
        "cgroup.controllers": "cpu memory pids",
        "cgroup.subtree_control": "",
    }
    own = {"cgroup.type": "domain", "cgroup.procs": "12"}
    found = _tree(tmp_path, {"service": service, "service/run": own})

    def write(path: str, text: str) -> None:
        if "cpu" in text:
            raise OSError(errno.EINVAL, "a process has a real-time priority")
        Path(path).write_text(Path(path).read_text() + f"{text[1:]} ")

    monkeypatch.setattr(setting, "write", write)
    place_of = place(found, ("pids", "memory", "cpu"))
    assert place_of == (f"{tmp_path}/service", frozenset({"memory", "pids"}))


@pytest.fixture
def parents() -> Iterator[list[tuple[str, int]]]:
    """Where groups can be made here, each with its version."""
    if sys.platform != "linux":
        pytest.skip("control groups are Linux's")
    found = [(at[0], each.version) for each in hierarchies() if (at := place(each)) is not None]
    if not found:
        pytest.skip("this machine gives us no control groups")
    yield found
    control_group.sweep([parent for parent, _ in found])


@contextlib.contextmanager
def _sleeping() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/usr/bin/sleep", "60"]) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_process_that_was_taken_is_ended_with_its_group(parents: list[tuple[str, int]]) -> None:
    for parent, version in parents:
        group = make(parent, version)
        with _sleeping() as process:
            group.take(process.pid)
            assert Path(group.path, "cgroup.procs").read_text() == f"{process.pid}\n"
            group.kill()
            assert process.wait(60) == -signal.SIGKILL
        group.remove()
        group.remove()
        assert not Path(group.path).exists()


def test_a_group_whose_owner_lives_is_not_swept(parents: list[tuple[str, int]]) -> None:
    for parent, version in parents:
        group = make(parent, version)
        with _sleeping() as process:
            group.take(process.pid)
            control_group.sweep([parent])
            assert not control_group.reap(group.path)
            assert process.poll() is None
            group.remove()


def test_what_a_killed_owner_left_is_ended_and_removed(parents: list[tuple[str, int]]) -> None:
    for parent, version in parents:
        reading, writing = os.pipe()
        owner = os.fork()
        if owner == 0:
            group = make(parent, version)
            left = subprocess.Popen(["/usr/bin/sleep", "60"])
            group.take(left.pid)
            os.write(writing, f"{left.pid} {group.path}".encode())
            time.sleep(60)
            os._exit(0)
        os.close(writing)
        pid, _, path = os.read(reading, 4096).decode().partition(" ")
        os.close(reading)
        pidfd = os.pidfd_open(int(pid))
        os.kill(owner, signal.SIGKILL)
        os.waitpid(owner, 0)
        assert Path(path).is_dir()
        assert control_group.reap(path)
        assert not Path(path).exists()
        with contextlib.suppress(ProcessLookupError):  # it is a child of nobody's by now
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)


@needs_linux
def test_nothing_but_our_own_groups_is_ever_removed(tmp_path: Path) -> None:
    for name in ("other", "ringfence-1-0a1b2c3d"):
        (tmp_path / name).mkdir()
    assert not control_group.reap(str(tmp_path / "other"))
    assert control_group.sweep([str(tmp_path), str(tmp_path / "absent")]) == 0
    assert (tmp_path / "ringfence-1-0a1b2c3d").is_dir()  # without `cgroup.procs` it is no group


@pytest.mark.parametrize(
    "name", ["ringfence-up.service", "ringfence-1-0a1b2c3d.scope", "ringfence-agents", "ringfence-"]
)
def test_a_service_that_bears_our_name_is_not_swept(
    parents: list[tuple[str, int]], name: str
) -> None:
    for parent, _ in parents:
        group = Path(parent, name)
        group.mkdir()
        try:
            with _sleeping() as process:
                Path(group, "cgroup.procs").write_text(str(process.pid))
                assert control_group.sweep([parent]) == 0
                assert not control_group.reap(str(group))
                assert process.poll() is None
        finally:
            _remove(group)


def _remove(group: Path) -> None:
    """What has ended leaves its group a moment later."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.01)
