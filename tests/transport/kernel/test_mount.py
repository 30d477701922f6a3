import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.transport.kernel.child import in_child, needs_linux, number

from ringfence.transport.kernel import mount, namespace

pytestmark = [needs_linux, pytest.mark.usefixtures("has_namespaces")]


def _apart(do: Callable[[], Any]) -> Any:
    def apart() -> Any:
        uid, gid = os.geteuid(), os.getegid()
        namespace.unshare(namespace.USER | namespace.MOUNT)
        namespace.map_ids(uid=uid, gid=gid, outer_uid=uid, outer_gid=gid)
        mount.keep_to_ourselves()
        return do()

    return in_child(apart)


def test_no_part_of_a_path_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    for path in ("real/inner", "real"):
        os.close(mount.open_plain(str(tmp_path / path)))
    for path in ("link/inner", "link"):
        assert number(lambda: mount.open_plain(str(tmp_path / path))) == errno.ELOOP
    assert number(lambda: mount.open_plain("/proc/self/exe")) == errno.ELOOP


def test_what_is_opened_within_stays_within(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    top = mount.open_plain(str(tmp_path / "inner"))
    assert number(lambda: mount.open_plain("..", within=top)) == errno.EXDEV
    assert number(lambda: mount.open_plain("/etc", within=top)) == errno.EXDEV
    os.close(top)


def test_a_path_is_followed_as_another_root_has_it(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tool").write_text("here")
    (tmp_path / "link").symlink_to("/bin/tool")
    root = mount.open_plain(str(tmp_path))
    found = mount.open_in_root(root, "/../../link")
    assert os.readlink(f"/proc/self/fd/{found}") == str(tmp_path / "bin" / "tool")
    assert number(lambda: mount.open_in_root(root, "/etc/passwd")) == errno.ENOENT
    os.close(found)
    os.close(root)


def test_a_clone_is_put_over_another_place_and_restricted(tmp_path: Path) -> None:
    for name in ("source", "target"):
        (tmp_path / name).mkdir()
    (tmp_path / "source" / "file").write_text("here")

    def do() -> list[Any]:
        source = mount.open_plain(str(tmp_path / "source"))
        tree = mount.clone(source)
        mount.restrict(tree, mount.READ_ONLY)
        mount.attach(tree, mount.open_plain(str(tmp_path / "target")))
        inner = tmp_path / "target" / "file"
        return [
            inner.read_text(encoding="utf-8"),
            number(lambda: inner.write_text("changed")),
            number(lambda: (tmp_path / "source" / "file").write_text("changed")),
        ]

    assert _apart(do) == ["here", errno.EROFS, 0]
    assert not any((tmp_path / "target").iterdir())  # seen in its own namespace alone


def test_a_file_system_in_memory_leaves_with_its_namespace(tmp_path: Path) -> None:
    def do() -> int:
        mount.mount_temporary(str(tmp_path), "size=1m")
        (tmp_path / "file").write_text("here")
        return len(list(tmp_path.iterdir()))

    assert _apart(do) == 1
    assert not list(tmp_path.iterdir())
