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
        ({}, "seccomp=unconfined"),
    ],
)
def test_why_namespaces_are_forbidden_is_read_from_the_machine(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], words: str
) -> None:
    monkeypatch.setattr(trouble, "_reads", lambda path: said.get(path, ""))
    assert words in mend(StepName.NAMESPACES, errno.EPERM)


def test_a_refusal_names_step_reason_and_place() -> None:
    error = refusal(StepName.MOUNTS, errno.ENOENT, "/w/x")
    assert error.code == "no_sandbox"
    assert error.message == (
        "the sandbox cannot be built: mounts: no such file or directory at `/w/x`"
    )
    assert "ringfence doctor" in error.help
