"""Files that are not the agent's: not read, not changed, not reached by links and races."""

import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest
from tests.attacks.attempt import attack, done
from tests.sandbox import jail
from tests.sandbox.jail import Outcome

from ringfence.domain.agent import SandboxTier
from ringfence.sandbox import bwrap
from ringfence.sandbox.plan import Bind, SandboxFile

_SHOWN_IN_REDUCED = {"look at it"}
"""Landlock restricts what is opened, made and removed, not what the kernel says of a file."""


def _secret(root: Path) -> Path:
    secret = root / "outside" / "secret"
    secret.write_text("canary")
    secret.chmod(0o600)
    return secret


def test_nothing_outside_is_read_or_changed(tier: SandboxTier, who: str, root: Path) -> None:
    secret = _secret(root)
    found, _ = attack(tier, root, "files.py", who=who)
    succeeded = done(found)
    if tier is SandboxTier.STRICT:
        succeeded.discard("change the mode of the outer folder")  # there it is the sandbox's own
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    if tier is SandboxTier.REDUCED:
        # What docs/sandbox.md says this tier does not stop; it is to be seen if that changes.
        assert succeeded == _SHOWN_IN_REDUCED
    else:
        assert succeeded == set()
    assert secret.read_text() == "canary"
    assert [each.name for each in (root / "outside").iterdir()] == ["secret"]


def test_the_view_of_strict_holds_nothing_but_what_is_listed(
    strict_tier: SandboxTier, who: str, root: Path
) -> None:
    script = "ls -A /; echo --; ls -A /home /run /tmp /var /etc; echo --; cat /etc/passwd"
    found = jail.run(jail.plan_of(strict_tier, root, ["sh", "-c", script]), who=who, root=root)
    top, _, people = found.out.split("--\n")
    workspace_top = str(root).split("/")[1]
    expected = {"dev", "etc", "home", "proc", "run", "tmp", "usr", "var", workspace_top}
    expected |= {path[1:] for path in bwrap.ROOTS if Path(path).is_dir()}  # aarch64 has no /lib64
    assert set(top.split()) == expected
    assert len(people.splitlines()) == 1
    assert "shadow" not in found.out
    assert "ssh" not in found.out


def _oldroot(root: Path) -> str:
    """What a link in the workspace must say to lead out while bwrap is at work."""
    return f"/oldroot{root}/outside"


def test_bwrap_by_itself_shows_why_we_stage(root: Path) -> None:
    """The hole of CVE-2026-87766, where this bwrap has it: the proof that the others are tests."""
    (root / "workspace" / "a").symlink_to(_oldroot(root))
    (root / "file").write_text("x")
    workspace = str(root / "workspace")
    words = ["--unshare-user", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"]
    words += ["--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"]
    words += [
        "--bind",
        workspace,
        "/project",
        "--ro-bind",
        str(root / "file"),
        "/project/a/planted",
    ]
    run = [bwrap.find().path, *words, "true"]

    def do() -> Outcome:
        return Outcome(exit_code=subprocess.call(run, stderr=subprocess.DEVNULL, timeout=60))  # noqa: S603 (that of the machine)

    jail.as_user("ordinary", do)
    if not (root / "outside" / "planted").exists():
        pytest.skip("the bwrap of this machine is mended")


@pytest.mark.parametrize("how", ["bind", "file", "protected", "hidden", "folder", "directory"])
def test_no_mount_point_is_made_behind_a_link_in_a_workspace(
    strict_tier: SandboxTier, who: str, root: Path, how: str
) -> None:
    workspace = root / "workspace"
    (workspace / "a").symlink_to(_oldroot(root))
    (root / "file").write_text("x")
    planted = f"{workspace}/a/planted"
    choices: dict[str, dict[str, object]] = {
        "bind": {"read_only": (Bind(str(root / "file"), planted),)},
        "file": {"files": (SandboxFile(path=planted, content=b"x"),)},
        "protected": {"protected": ("a/planted",)},
        "hidden": {"hidden": ("a/planted",)},
        "folder": {"read_write": (Bind(str(workspace / "a" / "inner")),)},
        "directory": {"directory": f"{workspace}/a"},
    }
    plan = jail.plan_of(strict_tier, root, ["true"], **choices[how])
    found = jail.run(plan, who=who, root=root)
    assert found.error or found.exit_code != 0, found
    assert list((root / "outside").iterdir()) == []


def test_a_workspace_that_changes_while_sandboxes_start_leads_nowhere(
    strict_tier: SandboxTier, root: Path
) -> None:
    """As a second sandbox on the same folder could do it: `.git` is a link every other moment."""
    (root / "outside" / "hooks").mkdir()
    (root / "outside" / "config").write_text("mine")
    (root / "real").mkdir()
    (root / "real" / "hooks").mkdir()
    place = root / "workspace" / ".git"
    flipping = os.fork()
    if flipping == 0:
        signal.alarm(30)
        while True:
            try:
                place.symlink_to(_oldroot(root))
                place.unlink()
                place.mkdir()
                (place / "hooks").mkdir()
                (place / "hooks").rmdir()
                place.rmdir()
            except OSError:
                continue
    try:
        script = "echo evil > .git/config; echo evil > .git/hooks/evil; echo evil > .git/planted"
        plan = jail.plan_of(strict_tier, root, ["sh", "-c", script])
        for _ in range(12):
            jail.run(plan, who="ordinary")
    finally:
        os.kill(flipping, signal.SIGKILL)
        os.waitpid(flipping, 0)
    assert (root / "outside" / "config").read_text() == "mine"
    assert sorted(each.name for each in (root / "outside").rglob("*")) == ["config", "hooks"]


def test_a_race_of_links_in_a_workspace_reads_nothing(tier: SandboxTier, root: Path) -> None:
    _secret(root)
    program = f"""
import os, threading, time
target, name = "{root}/outside/secret", "{root}/workspace/x"
ends = time.monotonic() + 0.5
def flip():
    while time.monotonic() < ends:
        for make in (lambda: open(name, "w").close(), lambda: os.symlink(target, name)):
            try:
                make(); os.unlink(name)
            except OSError:
                pass
threading.Thread(target=flip).start()
got = set()
while time.monotonic() < ends:
    try:
        got.add(open(name).read())
    except OSError:
        pass
print(got - {{""}})
"""
    found = jail.run(jail.plan_of(tier, root, [jail.PYTHON, "-c", program]), root=root)
    assert found.out == "set()\n", found


def test_what_runs_later_on_the_host_is_read_only_where_it_exists(
    strict_tier: SandboxTier, who: str, root: Path
) -> None:
    workspace = root / "workspace"
    (workspace / ".git" / "hooks").mkdir(parents=True)
    (workspace / ".git" / "config").write_text("[core]\n")
    (workspace / ".claude").mkdir()
    (workspace / ".envrc").write_text("")
    script = """
echo evil > .git/hooks/post-checkout; echo evil >> .git/config; echo '{}' > .claude/settings.json
echo evil >> .envrc; mv .git .old; mv .claude .old; rm -f .envrc; ln -sf /tmp/x .git/config
mv .git/hooks .git/old; rmdir .git/hooks; git config core.fsmonitor evil
chmod u+w .git/config && echo evil >> .git/config
"""
    jail.run(jail.plan_of(strict_tier, root, ["sh", "-c", script]), who=who, root=root)
    assert (workspace / ".git" / "config").read_text() == "[core]\n"
    assert list((workspace / ".git" / "hooks").iterdir()) == []
    assert list((workspace / ".claude").iterdir()) == []
    assert (workspace / ".envrc").read_text() == ""
    assert sorted(each.name for each in workspace.iterdir()) == [".claude", ".envrc", ".git"]


def test_two_sandboxes_share_no_file_process_or_port(tier: SandboxTier, root: Path) -> None:
    first = """# the-first-sandbox
import os, socket, sys, time
for path in (os.environ["HOME"] + "/mine", "/tmp/mine", "/dev/shm/mine"):
    try:
        open(path, "w").write("canary")
    except OSError:
        pass
try:
    server = socket.create_server(("127.0.0.1", 5123))
except OSError:
    pass
open("ready", "w").close()
while not os.path.exists("over"):
    time.sleep(0.02)
"""
    second = f"""
import os, socket
for path in ("{root}/home/mine", "/home/agent/mine", "/tmp/mine", "/dev/shm/mine", "{root}/workspace/ready"):
    try:
        print("DONE", open(path).read())
    except OSError:
        pass
try:
    socket.create_connection(("127.0.0.1", 5123), 1)
    print("DONE connected")
except OSError:
    pass
for pid in os.listdir("/proc"):
    if pid.isdigit() and int(pid) != os.getpid():
        try:
            if ("the-first-" + "sandbox") in open(f"/proc/{{pid}}/cmdline").read():
                print("seen")
                os.kill(int(pid), 0)
                print("DONE signal")
        except OSError:
            pass
        try:
            if ("the-first-" + "sandbox") in open(f"/proc/{{pid}}/cmdline").read():
                open(f"/proc/{{pid}}/environ", "rb").read()
                print("DONE environ")
        except OSError:
            pass
print("over")
"""
    with jail.place() as other:

        def both() -> Outcome:
            pid = os.fork()
            if pid == 0:
                jail.run_here(jail.plan_of(tier, root, [jail.PYTHON, "-c", first]))
                os._exit(0)
            ends = time.monotonic() + 60
            while not (root / "workspace" / "ready").exists() and time.monotonic() < ends:
                time.sleep(0.01)
            found = jail.run_here(jail.plan_of(tier, other, [jail.PYTHON, "-c", second]))
            (root / "workspace" / "over").touch()
            os.waitpid(pid, 0)
            return found

        found = jail.as_user("ordinary", both)
    is_seen = tier is SandboxTier.REDUCED  # it shows the command lines of others
    assert found.out == ("seen\nover\n" if is_seen else "over\n"), found
