import ctypes
import os
import stat
from pathlib import Path

import pytest
from tests.sandbox import jail
from tests.transport.kernel.child import needs_linux

from ringfence.domain.agent import SandboxTier
from ringfence.sandbox.metadata import Change, carry_out, read
from ringfence.transport.kernel.memory import Memory

pytestmark = needs_linux

_PROGRAM = """
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
os.makedirs("d")
for name in ("chmod", "fchmod", "fchmodat", "utime", "futime", "nofollow", "now", "utimes", "home"):
    open(name, "w").close()
    os.utime(name, (5, 5))
os.chmod("chmod", 0o751)
os.fchmod(os.open("fchmod", os.O_RDONLY), 0o641)
os.chmod("../fchmodat", 0o604, dir_fd=os.open("d", os.O_RDONLY))
os.utime("utime", ns=(1_000_000_007, 2_000_000_009))
os.utime(os.open("futime", os.O_RDONLY), (3, 4))
os.symlink("missing", "link")
os.utime("link", (7, 8), follow_symlinks=False)
os.utime("now")
libc.utimes(b"utimes", (ctypes.c_long * 4)(11, 500, 12, 600))
open(os.environ["HOME"] + "/own", "w").close()
os.chmod(os.environ["HOME"] + "/own", 0o600)
try:
    os.chmod("absent", 0o600)
except FileNotFoundError:
    print("absent")
"""


def test_modes_and_times_of_the_agents_own_files_can_be_changed(
    tier: SandboxTier, who: str, root: Path
) -> None:
    found = jail.run(jail.plan_of(tier, root, [jail.PYTHON, "-c", _PROGRAM]), who=who, root=root)
    assert (found.exit_code, found.out) == (0, "absent\n"), found
    at = {each.name: each.lstat() for each in (root / "workspace").iterdir()}
    modes = {name: stat.S_IMODE(at[name].st_mode) for name in ("chmod", "fchmod", "fchmodat")}
    assert modes == {"chmod": 0o751, "fchmod": 0o641, "fchmodat": 0o604}
    assert (at["utime"].st_atime_ns, at["utime"].st_mtime_ns) == (1_000_000_007, 2_000_000_009)
    assert at["futime"].st_mtime == 4
    assert at["link"].st_mtime == 8
    assert at["now"].st_mtime > 1_700_000_000
    assert (at["utimes"].st_atime_ns, at["utimes"].st_mtime_ns) == (11_000_500_000, 12_000_600_000)


@pytest.mark.parametrize(
    "path", ["../outside", "/", "/etc/hosts", "link", "link/secret", "missing"]
)
def test_nothing_outside_of_the_trees_is_changed(tmp_path: Path, path: str) -> None:
    inner, outside = tmp_path.resolve() / "inner", tmp_path.resolve() / "outside"
    inner.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("")
    (inner / "link").symlink_to(outside)
    before = (outside.stat().st_mode, (outside / "secret").stat().st_mode)
    os.chdir(inner)
    for change in (
        Change(at=None, path=path.encode(), mode=0o777),
        Change(at=None, path=path.encode()),
    ):
        assert carry_out(os.getpid(), change, [str(inner)]) != 0
    assert (outside.stat().st_mode, (outside / "secret").stat().st_mode) == before


def test_what_belongs_to_somebody_else_is_not_changed_in_our_name(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a file of somebody else's")
    other = tmp_path.resolve() / "other"
    other.write_text("")
    os.chown(other, 1, 1)
    change = Change(at=None, path=str(other).encode(), mode=0o777)
    assert carry_out(os.getpid(), change, [str(tmp_path.resolve())]) == 1


@pytest.mark.parametrize("microseconds", [-1, 1_000_000, 2**62])
def test_a_time_that_is_none_is_not_reckoned_with(microseconds: int) -> None:
    path, times = ctypes.create_string_buffer(b"x"), (ctypes.c_long * 4)(0, microseconds, 0, 0)
    given = (ctypes.addressof(path), ctypes.addressof(times), 0, 0, 0, 0)
    with pytest.raises(ValueError, match="microseconds"):
        read("utimes", given, Memory(os.getpid()))
