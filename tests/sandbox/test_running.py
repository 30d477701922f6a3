from dataclasses import replace
from pathlib import Path

import pytest

from ringfence.domain.agent import SandboxTier
from ringfence.domain.error import RingfenceError
from ringfence.domain.sandbox import SandboxGrant
from ringfence.sandbox import assembly, running
from ringfence.sandbox.assembly import Scene, Setup, Task

TASK = Task(command=("true",), workspace="/srv/none", directory="/srv/none")


def grant(tier: SandboxTier) -> SandboxGrant:
    return SandboxGrant(
        id="sbx_1",
        ticket="rf_tkt_1",
        socket="/srv/none/1.sock",
        invocation="inv_1",
        token="rf_inv_1",
        tier=tier,
    )


def plain(_grant: SandboxGrant, _where: Scene, _command: tuple[str, ...]) -> Setup:
    return Setup()


@pytest.mark.parametrize("tier", [SandboxTier.STRICT, SandboxTier.REDUCED])
def test_a_workspace_that_is_none_is_refused_before_anything_is_made(
    tier: SandboxTier, tmp_path: Path
) -> None:
    with pytest.raises(RingfenceError):
        running.run(grant(tier), TASK, plain, (), tmp_path)


def test_no_listener_and_no_folder_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[str] = []
    keep = assembly.run_folder

    def folder() -> str:
        made.append(keep())
        return made[-1]

    monkeypatch.setattr(assembly, "run_folder", folder)
    (tmp_path / "data").mkdir()
    (tmp_path / "work").mkdir()
    work = str(tmp_path.resolve() / "work")
    task = replace(TASK, workspace=work, directory=work, command=("no-such-program",))
    with pytest.raises(RingfenceError):
        running.run(grant(SandboxTier.REDUCED), task, plain, (), tmp_path / "data")
    assert len(made) == 1
    assert not Path(made[0]).exists()
