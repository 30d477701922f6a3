import stat
from pathlib import Path

import pytest

from ringfence.domain.agent import SandboxTier
from ringfence.sandbox import home
from ringfence.sandbox.plan import SandboxFile, SandboxPlan


def plan(folder: Path, *files: SandboxFile) -> SandboxPlan:
    return SandboxPlan(
        tier=SandboxTier.NONE,
        command=("true",),
        environment={},
        workspace=str(folder),
        home=str(folder / "home"),
        files=files,
    )


def test_files_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    place = tmp_path / "home"
    fixed = SandboxFile(path=f"{place}/.tool/settings", content=b"a")
    loose = SandboxFile(path=f"{place}/state", content=b"b", is_writable=True)
    home.make(plan(tmp_path, fixed, loose))
    assert (place / ".tool" / "settings").read_bytes() == b"a"
    modes = [stat.S_IMODE(Path(each.path).stat().st_mode) for each in (fixed, loose)]
    assert modes == [0o400, 0o600]
    assert stat.S_IMODE((place / ".tool").stat().st_mode) == 0o700
    assert Path(home.temporary(plan(tmp_path))).is_dir()


def test_no_link_is_written_through(tmp_path: Path) -> None:
    place = tmp_path / "home"
    place.mkdir()
    (place / "state").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        home.make(plan(tmp_path, SandboxFile(path=f"{place}/state", content=b"b")))
    assert not (tmp_path / "elsewhere").exists()
