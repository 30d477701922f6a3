import os
import platform
import re
import sys
from pathlib import Path

import pytest

from ringfence.domain.error import UsageError
from ringfence.transport.kernel.syscall import AARCH64, X86_64, Architecture, architecture, call

_ON_LINUX = sys.platform == "linux" and platform.machine() in {"x86_64", "aarch64"}
needs_linux = pytest.mark.skipif(not _ON_LINUX, reason="Linux on x86_64 or aarch64 alone")


@pytest.mark.parametrize(
    ("name", "on_x86_64", "on_aarch64"),
    [
        # Linux, arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
        ("execve", 59, 221),
        ("execveat", 322, 281),
        ("connect", 42, 203),
        ("socket", 41, 198),
        ("clone", 56, 220),
        ("ptrace", 101, 117),
        ("unshare", 272, 97),
        ("setns", 308, 268),
        ("mount", 165, 40),
        ("ioctl", 16, 29),
        ("newfstatat", 262, 79),
        ("prlimit64", 302, 261),
        ("seccomp", 317, 277),
        ("bpf", 321, 280),
        ("rseq", 334, 293),
        ("io_uring_setup", 425, 425),
        ("clone3", 435, 435),
        ("openat2", 437, 437),
        ("pidfd_getfd", 438, 438),
        ("landlock_restrict_self", 446, 446),
        ("fchmodat2", 452, 452),
        ("file_setattr", 469, 469),
    ],
)
def test_calls_have_the_numbers_of_the_kernel(name: str, on_x86_64: int, on_aarch64: int) -> None:
    assert (X86_64.numbers[name], AARCH64.numbers[name]) == (on_x86_64, on_aarch64)


_HEADERS = [
    (X86_64, Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")),
    (AARCH64, Path("/usr/include/asm-generic/unistd.h")),
]
_NOT_OURS = re.compile(r"syscalls|arch_specific_syscall|.*_time(64|32)|(clock|timer|timerfd)_.*64")


@pytest.mark.parametrize(("known", "header"), _HEADERS, ids=["x86_64", "aarch64"])
def test_every_number_is_that_of_the_kernels_own_header(known: Architecture, header: Path) -> None:
    if not header.exists():
        pytest.skip("the kernel's headers are not on this machine")
    defined = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\b", header.read_text())
    theirs = {name: int(number) for name, number in defined if not _NOT_OURS.fullmatch(name)}
    newest = max(theirs.values())
    ours = {name: number for name, number in known.numbers.items() if number <= newest}
    names = {"fstatat": "newfstatat", "sync_file_range2": "sync_file_range"}
    assert ours == {names.get(name, name): number for name, number in theirs.items()}


def test_no_number_has_two_names() -> None:
    for known in (X86_64, AARCH64):
        assert len(set(known.numbers.values())) == len(known.numbers)
        assert known.highest == 469


def test_old_calls_are_not_on_new_processors() -> None:
    assert not {"open", "fork", "chmod", "rename", "access"} & AARCH64.numbers.keys()


@needs_linux
def test_a_call_returns_what_the_kernel_says() -> None:
    assert call("getpid") == os.getpid()


@needs_linux
def test_a_call_that_fails_raises_its_errno() -> None:
    with pytest.raises(OSError, match="close") as caught:
        call("close", 1_000_000)
    assert caught.value.errno == 9


def test_another_system_is_refused_with_what_works_there(monkeypatch: pytest.MonkeyPatch) -> None:
    architecture.cache_clear()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(UsageError) as caught:
        architecture()
    architecture.cache_clear()
    assert caught.value.code == "no_sandbox_here"
    assert "Darwin" in caught.value.message
    assert "gateways" in caught.value.help
    assert "--sandbox none" in caught.value.help
