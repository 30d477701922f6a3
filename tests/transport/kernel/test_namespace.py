import errno
import os
import re
import signal
import time
from pathlib import Path

import pytest
from tests.transport.kernel.child import in_child, needs_linux, number

from ringfence.transport.kernel import namespace, seccomp

pytestmark = [needs_linux, pytest.mark.usefixtures("has_namespaces")]


def _capabilities() -> list[int]:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return [
        int(each, 16)
        for each in re.findall(r"^Cap(?:Prm|Eff|Inh|Amb):\s*(\w+)", status, re.MULTILINE)
    ]


@pytest.mark.parametrize("is_hidden", [False, True])
def test_an_ordinary_user_becomes_who_it_says_in_a_namespace(is_hidden: bool) -> None:
    def do() -> list[int]:
        uid, gid = os.geteuid(), os.getegid()
        if is_hidden:
            namespace.hide_memory()
        namespace.unshare(namespace.USER)
        namespace.map_ids(uid=1234, gid=4321, outer_uid=uid, outer_gid=gid)
        return [os.getuid(), os.getgid()]

    assert in_child(do, is_ordinary=True) == [1234, 4321]


def test_capabilities_are_gone_for_good() -> None:
    def do() -> list[int]:
        namespace.drop_capabilities()
        return [*_capabilities(), number(lambda: os.chroot("/"))]

    assert in_child(do) == [0, 0, 0, 0, errno.EPERM]


def test_capabilities_do_not_come_back_with_another_program() -> None:
    def do() -> str:
        seccomp.no_new_privileges()
        namespace.drop_capabilities()
        with os.popen("grep CapEff /proc/self/status") as told:
            return told.read().split()[1].strip("0")

    assert in_child(do) == ""


def test_a_child_dies_with_its_parent() -> None:
    def do() -> int:
        parent = os.getpid()
        reading, writing = os.pipe()
        middle = os.fork()
        if middle == 0:
            own = os.getpid()
            child = os.fork()
            if child == 0:
                namespace.die_with(own)
                os.write(writing, str(os.getpid()).encode())
                signal.pause()
            signal.pause()
        child = int(os.read(reading, 10))
        assert parent != middle
        namespace.adopt_orphans(is_on=True)
        os.kill(middle, signal.SIGKILL)
        os.waitpid(middle, 0)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)

    assert in_child(do) == -signal.SIGKILL


def test_a_child_whose_parent_has_gone_already_dies_at_once() -> None:
    def do() -> int:
        child = os.fork()
        if child == 0:
            namespace.die_with(os.getppid() + 1)
            time.sleep(5)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert in_child(do) == -signal.SIGKILL
