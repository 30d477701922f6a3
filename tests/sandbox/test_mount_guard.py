import os
from pathlib import Path

import pytest
from tests.sandbox import jail
from tests.transport.kernel.child import has_namespaces, in_child, needs_linux, number

from ringfence.domain.agent import SandboxTier
from ringfence.domain.error import UsageError
from ringfence.sandbox import mount_guard
from ringfence.sandbox.mount_guard import check_places, mount_points
from ringfence.sandbox.plan import Bind, SandboxPlan
from ringfence.transport.kernel import mount, namespace

__all__ = ["has_namespaces"]
pytestmark = needs_linux


def _plan(workspace: Path, **more: object) -> SandboxPlan:
    return jail.plan_of(
        SandboxTier.STRICT, workspace.parent, ["true"], workspace=str(workspace), **more
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    made = tmp_path.resolve() / "workspace"
    made.mkdir()
    return made


def test_a_plain_folder_is_a_workspace(workspace: Path) -> None:
    check_places(_plan(workspace))


def test_a_workspace_behind_a_link_is_refused_and_its_place_named(workspace: Path) -> None:
    link = workspace.parent / "link"
    link.symlink_to("/etc")
    for path in (link, link / "ssl"):
        with pytest.raises(UsageError) as caught:
            check_places(_plan(path))
        assert caught.value.code == "bad_workspace"
        assert "goes through a symbolic link" in caught.value.message
        assert f"`{os.path.realpath(path)}`" in caught.value.help


@pytest.mark.parametrize(
    "path", ["/etc", "/etc/ssl", "/usr", "/usr/share", "/tmp", "/home", "/proc"]
)
def test_a_folder_of_the_system_is_no_workspace(path: str) -> None:
    if not os.path.isdir(path):
        pytest.skip(f"{path} is not on this machine")
    with pytest.raises(UsageError) as caught:
        check_places(_plan(Path(path)))
    assert caught.value.code == "bad_workspace"


def test_the_callers_own_home_is_no_workspace(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(workspace))
    with pytest.raises(UsageError, match="cannot be a workspace"):
        check_places(_plan(workspace))


def test_what_is_not_there_or_no_folder_is_no_workspace(workspace: Path) -> None:
    (workspace / "file").write_text("")
    with pytest.raises(UsageError, match="no such file"):
        check_places(_plan(workspace / "missing"))
    with pytest.raises(UsageError, match="is not a folder"):
        check_places(_plan(workspace / "file"))


def test_the_planes_own_files_are_shown_to_no_agent(workspace: Path) -> None:
    data = workspace / "project" / ".ringfence"
    data.mkdir(parents=True)
    for bind in (workspace, data):
        with pytest.raises(UsageError, match="belongs to the plane"):
            check_places(_plan(bind), kept=[str(data)])
    elsewhere = workspace / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(UsageError, match="belongs to the plane"):
        check_places(_plan(elsewhere, read_only=(Bind(str(data)),)), kept=[str(data)])
    check_places(_plan(elsewhere), kept=[str(data)])


def test_mount_points_are_read_with_their_escapes() -> None:
    lines = "36 35 98:0 / /mnt/a\\040b rw - ext4 /dev/x rw\n37 35 0:1 / /proc rw - proc p rw\n"
    assert mount_points(lines) == ["/mnt/a b", "/proc"]


@pytest.mark.usefixtures("has_namespaces")
def test_a_workspace_with_something_mounted_in_it_is_refused(workspace: Path) -> None:
    (workspace / "inner").mkdir()

    def do() -> str:
        uid, gid = os.geteuid(), os.getegid()
        namespace.unshare(namespace.USER | namespace.MOUNT)
        namespace.map_ids(uid=uid, gid=gid, outer_uid=uid, outer_gid=gid)
        mount.mount_temporary(str(workspace / "inner"), "size=1m")
        try:
            check_places(_plan(workspace))
        except UsageError as error:
            return error.message
        return ""

    assert "is mounted inside of" in in_child(do)


def _staged(plan: SandboxPlan, then: object) -> object:
    def do() -> object:
        uid, gid = os.geteuid(), os.getegid()
        namespace.unshare(namespace.USER | namespace.MOUNT)
        namespace.map_ids(uid=uid, gid=gid, outer_uid=uid, outer_gid=gid)
        staged = mount_guard.stage(plan, uid=uid, gid=gid)
        assert callable(then)
        return then({bind.seen: Path(bind.source) for bind, _ in staged})

    return in_child(do)


@pytest.mark.usefixtures("has_namespaces")
def test_what_runs_later_on_the_host_cannot_be_changed_or_moved_away(workspace: Path) -> None:
    (workspace / ".git" / "hooks").mkdir(parents=True)
    (workspace / ".git" / "config").write_text("[core]\n")
    (workspace / ".claude").mkdir()

    def then(seen: dict[str, Path]) -> list[int]:
        top = seen[str(workspace)]
        return [
            number(lambda: (top / ".git" / "hooks" / "post-checkout").write_text("evil")),
            number(lambda: (top / ".git" / "config").write_text("evil")),
            number(lambda: (top / ".claude" / "settings.json").write_text("evil")),
            number(lambda: (top / ".git").rename(top / "old")),
            number(lambda: (top / ".claude").rename(top / "old")),
            number(lambda: (top / ".git" / "config").unlink()),
            number(lambda: (top / ".git" / "index").write_text("good")),
        ]

    no, busy = 30, 16  # EROFS, EBUSY
    assert _staged(_plan(workspace), then) == [no, no, no, busy, busy, busy, 0]
    assert (workspace / ".git" / "config").read_text() == "[core]\n"


@pytest.mark.usefixtures("has_namespaces")
def test_the_pointer_of_a_worktree_cannot_be_changed_or_exchanged(workspace: Path) -> None:
    (workspace / ".git").write_text("gitdir: /srv/repository/.git/worktrees/w")

    def then(seen: dict[str, Path]) -> list[int]:
        pointer = seen[str(workspace)] / ".git"
        return [
            number(lambda: pointer.write_text("gitdir: evil")),
            number(pointer.unlink),
            number(lambda: pointer.rename(pointer.with_name("old"))),
        ]

    no, busy = 30, 16  # EROFS, EBUSY
    assert _staged(_plan(workspace), then) == [no, busy, busy]


@pytest.mark.usefixtures("has_namespaces")
def test_a_folder_beside_the_workspace_is_guarded_like_it(workspace: Path) -> None:
    other = workspace.parent / "other"
    (other / ".vscode").mkdir(parents=True)
    plan = _plan(workspace, read_write=(Bind(str(other)),))

    def then(seen: dict[str, Path]) -> list[int]:
        return [
            number(lambda: (seen[str(other)] / ".vscode" / "tasks.json").write_text("evil")),
            number(lambda: (seen[str(other)] / "file").write_text("good")),
        ]

    assert _staged(plan, then) == [30, 0]


@pytest.mark.usefixtures("has_namespaces")
def test_a_folder_that_was_exchanged_since_it_was_looked_at_is_not_shown(workspace: Path) -> None:
    found = workspace.stat()
    plan = _plan(workspace, identities={str(workspace): (found.st_dev, found.st_ino)})
    assert _staged(plan, lambda _: "shown") == "shown"
    workspace.rename(workspace.with_name("elsewhere"))
    workspace.mkdir()
    told = _staged(plan, lambda _: "shown")
    assert isinstance(told, dict)
    assert told["errno"] == 116  # ESTALE


@pytest.mark.usefixtures("has_namespaces")
def test_a_protected_path_that_is_a_link_stops_the_start(workspace: Path) -> None:
    (workspace / ".git").symlink_to("/etc")
    found = _staged(_plan(workspace), lambda _: "started")
    assert isinstance(found, dict)
    assert found["errno"] == 40  # ELOOP


@pytest.mark.usefixtures("has_namespaces")
def test_what_is_hidden_looks_empty(workspace: Path) -> None:
    (workspace / ".env").write_text("SECRET=1")
    (workspace / "keys").mkdir()
    (workspace / "keys" / "key").write_text("secret")

    def then(seen: dict[str, Path]) -> list[object]:
        top = seen[str(workspace)]
        return [
            (top / ".env").read_text(encoding="utf-8"),
            [each.name for each in (top / "keys").iterdir()],
            number(lambda: (top / ".env").write_text("mine")),
        ]

    plan = _plan(workspace, hidden=(".env", "keys", "missing"))
    assert _staged(plan, then) == ["", [], 30]


@pytest.mark.usefixtures("has_namespaces")
def test_what_is_bound_read_only_is_so_wherever_it_is_seen(workspace: Path) -> None:
    tools = workspace.parent / "tools"
    tools.mkdir()
    (tools / "file").write_text("here")
    plan = _plan(workspace, read_only=(Bind(str(tools)), Bind(str(tools / "file"), "/opt/one")))

    def then(seen: dict[str, Path]) -> list[object]:
        return [
            (seen[str(tools)] / "file").read_text(encoding="utf-8"),
            seen["/opt/one"].read_text(encoding="utf-8"),
            number(lambda: (seen[str(tools)] / "file").write_text("changed")),
            number(lambda: seen["/opt/one"].write_text("changed")),
            number(lambda: (seen[str(workspace)] / "file").write_text("new")),
        ]

    assert _staged(plan, then) == ["here", "here", 30, 30, 0]
