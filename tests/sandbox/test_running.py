import io
import os
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from tests.sandbox import jail
from tests.transport.kernel.child import in_child

from ringfence.domain.agent import SandboxRules, SandboxTier
from ringfence.domain.error import RingfenceError
from ringfence.domain.sandbox import SandboxGrant
from ringfence.sandbox import assembly, running
from ringfence.sandbox.assembly import Scene, Setup, Task
from ringfence.transport.kernel import control_group, syscall

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


@pytest.mark.parametrize("tier", [SandboxTier.STRICT, SandboxTier.REDUCED])
def test_a_system_that_cannot_confine_refuses_before_it_looks_at_anything(
    tier: SandboxTier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    syscall.architecture.cache_clear()
    monkeypatch.delattr(os, "O_PATH", raising=False)
    task = replace(TASK, workspace=str(tmp_path), directory=str(tmp_path))
    try:
        with pytest.raises(RingfenceError) as caught:
            running.run(grant(tier), task, plain, (), tmp_path / "data")
    finally:
        monkeypatch.undo()
        syscall.architecture.cache_clear()
    assert caught.value.code == "no_sandbox_here"
    assert "`--sandbox none` work here" in caught.value.help


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (SandboxRules(), ""),
        (
            SandboxRules(memory_bytes=1 << 30),
            (
                "ringfence: `memory_megabytes` of this agent does not hold here, for want of a"
                " control group: no control groups are mounted for writing"
            ),
        ),
        (
            SandboxRules(memory_bytes=1 << 30, processor_percent=50),
            "ringfence: `memory_megabytes` and `processor_percent` of this agent do not hold here",
        ),
    ],
)
def test_a_bound_that_was_asked_for_and_does_not_hold_is_told(
    rules: SandboxRules, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why := jail.missing(SandboxTier.REDUCED):
        pytest.skip(why)
    monkeypatch.setattr(control_group, "hierarchies", lambda: ())
    for name in ("data", "work"):
        (tmp_path / name).mkdir()
    work = str(tmp_path.resolve() / "work")
    task = replace(TASK, workspace=work, directory=work, command=("true",))
    given = msgspec.structs.replace(grant(SandboxTier.REDUCED), rules=rules)

    def do() -> list[str]:
        sys.stderr = io.StringIO()
        with pytest.raises(RingfenceError) as caught:
            running.run(given, task, plain, (), tmp_path / "data")
        return [caught.value.code, sys.stderr.getvalue()]

    code, told = in_child(do)
    assert code == "plane_gone"
    assert told.startswith(said)
    assert bool(told) is bool(said)
