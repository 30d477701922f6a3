"""Where no control group bounds a sandbox, the words name what helps whoever reads them there."""

import os
from pathlib import Path

import pytest

from ringfence.sandbox import group_trouble
from ringfence.sandbox.group_trouble import mend
from ringfence.transport.kernel import control_group as kernel


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with groups and systemd, on which an ordinary user asks; gives its /run."""
    found = kernel.Hierarchy(version=2, mount="/nowhere", own="/nowhere")
    monkeypatch.setattr(kernel, "hierarchies", lambda: (found,))
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    monkeypatch.setattr(group_trouble, "_BOOTED", str(tmp_path / "system"))
    monkeypatch.setattr(group_trouble, "_MANAGER", str(tmp_path / "{}"))
    (tmp_path / "system").mkdir()
    (tmp_path / "4000000000").touch()
    return tmp_path


@pytest.mark.usefixtures("machine")
def test_a_plain_login_is_told_the_command_and_what_follows_from_it() -> None:
    said = mend()
    assert "`systemd-run --user --scope ringfence run …`" in said
    assert "`loginctl enable-linger`" in said


def test_a_user_for_whom_systemd_runs_nothing_is_told_what_to_do_before(machine: Path) -> None:
    (machine / "4000000000").unlink()
    said = mend()
    assert "`loginctl enable-linger 4000000000`" in said
    assert (
        "`XDG_RUNTIME_DIR=/run/user/4000000000 systemd-run --user --scope ringfence run …`" in said
    )


def test_without_systemd_nothing_is_asked_of_it(machine: Path) -> None:
    (machine / "system").rmdir()
    assert "systemd-run" not in mend()
    assert "have root make a group" in mend()


@pytest.mark.usefixtures("machine")
def test_processor_time_alone_needs_another_controller_for_users() -> None:
    assert "`Delegate=cpu memory pids`" in mend(["cpu"])
    assert "systemd-run" in mend(["cpu", "memory"])


@pytest.mark.usefixtures("machine")
def test_root_is_told_what_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert mend(["pids", "memory"]).startswith("no group of ours gets `pids` and `memory`: see ")
    assert "cgroup_enable=memory" not in mend(["cpu"])


@pytest.mark.usefixtures("machine")
def test_a_container_is_to_be_bounded_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "hierarchies", lambda: ())
    assert "--memory 8g" in mend()
    assert "\n" not in mend()
