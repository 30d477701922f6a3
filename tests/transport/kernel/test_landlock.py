import errno
import os
import signal
import socket
from pathlib import Path

import pytest
from tests.transport.kernel.child import in_child, needs_linux, number

from ringfence.transport.kernel import landlock, seccomp
from ringfence.transport.kernel.landlock import READ, WRITE, Grant

pytestmark = [
    needs_linux,
    pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock"),
]


def _under(*grants: Grant) -> None:
    seccomp.no_new_privileges()
    landlock.restrict(grants)


def test_only_what_is_granted_is_left(tmp_path: Path) -> None:
    for name in ("read", "write", "nothing"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("here")

    def do() -> list[int]:
        _under(
            Grant(str(tmp_path / "read"), READ),
            Grant(str(tmp_path / "write"), WRITE),
            Grant(str(tmp_path / "missing"), WRITE),
        )
        return [
            number(lambda: os.close(os.open(tmp_path / name / "file", flags)))
            for name in ("read", "write", "nothing")
            for flags in (os.O_RDONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC)
        ] + [
            number(lambda: os.mkdir(tmp_path / name / "new"))
            for name in ("read", "write", "nothing")
        ]

    no = errno.EACCES
    assert in_child(do) == [0, no, no, 0, 0, 0, no, no, no, no, 0, no]


def test_a_grant_of_one_file_is_of_that_file(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).write_text("here")

    def do() -> list[int]:
        _under(Grant(str(tmp_path / "one"), WRITE))
        return [
            number(lambda: os.close(os.open(tmp_path / name, os.O_RDWR)))
            for name in ("one", "other")
        ]

    assert in_child(do) == [0, errno.EACCES]


@pytest.mark.skipif(landlock.abi() < 4, reason="this Landlock knows no ports")
def test_no_port_can_be_connected_or_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def do() -> list[int]:
            _under()
            with socket.socket() as client, socket.socket() as another:
                return [
                    number(lambda: client.connect(("127.0.0.1", port))),
                    number(lambda: another.bind(("127.0.0.1", 0))),
                ]

        assert in_child(do) == [errno.EACCES, errno.EACCES]


@pytest.mark.skipif(landlock.abi() < 6, reason="this Landlock scopes no signals")
def test_no_process_outside_can_be_signalled(tmp_path: Path) -> None:
    def do(is_scope_alone: bool) -> list[int]:
        parent, child = os.getppid(), 0
        seccomp.no_new_privileges()
        if is_scope_alone:
            landlock.restrict_signals()
        else:
            landlock.restrict([])
        child = os.fork()
        if child == 0:
            signal.pause()
        found = [number(lambda: os.kill(parent, 0)), number(lambda: os.kill(child, signal.SIGKILL))]
        os.waitpid(child, 0)
        return [*found, number(lambda: os.close(os.open(tmp_path, os.O_RDONLY)))]

    assert in_child(lambda: do(False)) == [errno.EPERM, 0, errno.EACCES]
    assert in_child(lambda: do(True)) == [errno.EPERM, 0, 0]


def test_what_a_kernel_does_not_know_is_not_asked_of_it() -> None:
    assert landlock.handled_files(1) == 0x1FFF
    assert landlock.handled_files(3) == 0x7FFF
    assert landlock.handled_files(4) == 0x7FFF
    assert landlock.handled_files(9) == 0xFFFF
