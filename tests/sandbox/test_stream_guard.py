"""Streams that are files of the host are opened anew, as they were; others stay what they are."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.sandbox.conftest import need
from tests.transport.kernel.child import in_child

from ringfence.domain.agent import SandboxTier
from ringfence.sandbox import stream_guard
from ringfence.transport.kernel import namespace


@pytest.fixture(autouse=True)
def _strict() -> None:
    need(SandboxTier.STRICT)


def guarded(opened: Callable[[], int], look: Callable[[], object]) -> object:
    """What is seen of standard input after it was guarded, in a child."""

    def do() -> object:
        uid, gid = os.geteuid(), os.getegid()
        os.dup2(opened(), 0)
        namespace.unshare(namespace.USER | namespace.MOUNT)
        namespace.map_ids(uid=uid, gid=gid, outer_uid=uid, outer_gid=gid)
        before = open_now()
        stream_guard.guard()
        assert open_now() == before, "something stays open"
        return look()

    return in_child(do)


def open_now() -> list[str]:
    return sorted(each.name for each in Path("/proc/self/fd").iterdir())


def is_changeable() -> bool:
    try:
        os.fchmod(0, os.fstat(0).st_mode & 0o7777)
    except OSError:
        return False
    return True


def test_a_file_is_read_on_from_where_it_was_and_cannot_be_changed(tmp_path: Path) -> None:
    (tmp_path / "given").write_text("before here")

    def opened() -> int:
        descriptor = os.open(tmp_path / "given", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(descriptor, 7, os.SEEK_SET)
        return descriptor

    def look() -> list[object]:
        flags = fcntl.fcntl(0, fcntl.F_GETFL)
        return [os.read(0, 100).decode(), flags & os.O_NONBLOCK, is_changeable()]

    assert guarded(opened, look) == ["here", os.O_NONBLOCK, False]


def test_a_device_is_read_and_written_and_cannot_be_changed() -> None:
    def look() -> list[object]:
        return [os.write(0, b"x"), os.read(0, 1).decode(), is_changeable()]

    assert guarded(lambda: os.open(os.devnull, os.O_RDWR), look) == [1, "", False]


def test_a_folder_leads_to_nothing_around_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner").touch()

    def look() -> bool:
        try:
            os.stat("../folder", dir_fd=0)
        except FileNotFoundError:
            return False
        return True

    assert guarded(lambda: os.open(tmp_path / "folder", os.O_RDONLY), look) is False


@pytest.mark.parametrize("kind", ["pipe", "written", "removed", "in memory"])
def test_what_is_no_way_to_a_file_of_others_stays_what_it_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    path.write_text("x")

    def opened() -> int:
        if kind == "pipe":
            return os.pipe()[0]
        if kind == "in memory":
            return os.memfd_create("x")
        descriptor = os.open(path, os.O_RDWR if kind == "written" else os.O_RDONLY)
        if kind == "removed":
            path.unlink()
        return descriptor

    assert guarded(opened, is_changeable) is True


def test_another_file_in_its_place_is_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")

    def opened() -> int:
        descriptor = os.open(path, os.O_RDONLY)
        path.rename(tmp_path / "elsewhere")
        return descriptor

    def look() -> list[object]:
        return [os.read(0, 10).decode(), is_changeable()]

    assert guarded(opened, look) == ["mine", False]
