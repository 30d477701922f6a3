import errno
import os
import sys

import pytest

from ringfence.sandbox import trouble
from ringfence.sandbox.trouble import StepName, mend, refusal, what


def test_every_step_says_what_it_shows() -> None:
    assert all(what(step) for step in StepName)


@pytest.mark.parametrize(
    ("step", "code", "words"),
    [
        (StepName.NAMESPACES, errno.ENOSPC, "user.max_user_namespaces"),
        (StepName.IDENTITY, errno.EPERM, "apparmor_parser"),
        (StepName.NETWORK, errno.EPERM, "profile ringfence-bwrap /usr/bin/bwrap"),
        (StepName.NETWORK, errno.EPERM, f"ringfence-python {os.path.realpath(sys.executable)} "),
        (StepName.LANDLOCK, errno.EOPNOTSUPP, "lsm="),
        (StepName.FILTER, errno.EBUSY, "outside of it"),
        (StepName.MOUNTS, errno.ELOOP, "symbolic link"),
    ],
)
def test_a_known_failure_says_how_to_mend_it(step: StepName, code: int, words: str) -> None:
    assert words in mend(step, code)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"}, "apparmor"),
        ({"/proc/sys/kernel/unprivileged_userns_clone": "0"}, "kernel.unprivileged_userns_clone=1"),
        ({"/proc/self/status": "Name:\tx\nSeccomp:\t0\nThreads:\t1\n"}, "journalctl"),
        ({"/proc/self/status": "Name:\tx\nSeccomp:\t2\nThreads:\t1\n"}, "seccomp=unconfined"),
        ({}, "seccomp=unconfined"),
    ],
)
def test_why_namespaces_are_forbidden_is_read_from_the_machine(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], words: str
) -> None:
    monkeypatch.setattr(trouble, "_reads", lambda path: said.get(path, ""))
    assert words in mend(StepName.NAMESPACES, errno.EPERM)


@pytest.mark.parametrize(
    ("scope", "words"),
    [("2", "ptrace_scope=1"), ("3", "/etc/sysctl.d"), ("1", "journalctl"), ("", "journalctl")],
)
def test_why_processes_cannot_be_looked_at_is_read_from_the_machine(
    monkeypatch: pytest.MonkeyPatch, scope: str, words: str
) -> None:
    monkeypatch.setattr(trouble, "_reads", lambda _: scope)
    assert words in mend(StepName.LOOKING, errno.EPERM)


def test_a_refusal_names_step_reason_and_place() -> None:
    error = refusal(StepName.MOUNTS, errno.ENOENT, "/w/x")
    assert error.code == "no_sandbox"
    assert error.message == (
        "the sandbox cannot be built: mounts: no such file or directory at `/w/x`"
    )
    assert "ringfence doctor" in error.help


def test_a_folder_that_whoever_starts_it_may_not_enter_is_no_fault_of_the_machine() -> None:
    error = refusal(StepName.MOUNTS, errno.EACCES, "/srv/of-another")
    assert "owner of that folder" in error.help
    assert "apparmor" not in error.help.lower()


@pytest.mark.parametrize(
    "said", ["bwrap: setting up uid map: Permission denied", "bwrap: loopback: Failed RTM_NEWADDR"]
)
@pytest.mark.parametrize("is_restricted", [True, False])
def test_a_bwrap_without_a_profile_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, said: str, *, is_restricted: bool
) -> None:
    monkeypatch.setattr(trouble, "_reads", lambda _: "1" if is_restricted else "")
    assert ("profile ringfence-bwrap" in mend(StepName.START, 0, said)) == is_restricted
