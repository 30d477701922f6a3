"""Attacks on the look at a workspace: nothing that an agent leaves is hidden from it."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.folders import let_in
from tests.sandbox.conftest import need
from tests.sandbox.whole import AGENT, ORDINARY, WholePlane, config, first_line, ordinary

from ringfence.domain.agent import SandboxTier

_WAIT_S = 15.0


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholePlane]:
    need(SandboxTier.STRICT)
    folder = tmp_path_factory.mktemp("plane").resolve()
    let_in(folder)
    agents = [AGENT.format(name=name, tier="strict") for name in ("a", "outer")]
    made = WholePlane(folder, config(*agents), user=ordinary())
    made.start()
    yield made
    made.stop()


@pytest.fixture
def work(plane: WholePlane, request: pytest.FixtureRequest) -> Path:
    """A workspace of this test alone, which the user of the plane owns."""
    made = Path(plane.folder / str(request.node.name)[:40])
    made.mkdir()
    _give(plane, made)
    return made


def _give(plane: WholePlane, *paths: Path) -> None:
    if plane.user.uid is not None:
        for each in paths:
            os.chown(each, ORDINARY, ORDINARY)


def test_an_outer_agent_that_moves_an_inner_workspace_away_hides_nothing(
    plane: WholePlane, work: Path
) -> None:
    inner = work / "inner"
    inner.mkdir()
    _give(plane, inner)
    script = f"""echo begun
for n in $(seq 1 1000); do [ -e {inner}/ready ] && break; sleep 0.01; done
mv inner elsewhere && mkdir inner && echo moved && sleep 20
"""
    with plane.running(
        "sh", "-c", script, agent="outer", options=("--workspace", str(work))
    ) as outer:
        assert first_line(outer) == "begun\n"
        ran = plane.run(
            "sh", "-c", "touch ready; sleep 1.5; echo evil > .envrc",
            options=("--workspace", str(inner)),
        )  # fmt: skip
        assert first_line(outer) == "moved\n"
    assert ran.code == 0, ran
    assert f"agent outer is at work in {inner} too" in ran.err
    assert f"it was moved away while the run lasted, and is at `{work}/elsewhere`" in ran.err
    assert "the run left .envrc" in ran.err
    left = sorted(each.name for each in (work / "elsewhere").iterdir())
    assert left[0].startswith(".envrc.quarantined-")
    assert left[1:] == ["ready"]
    seen = [each for each in plane.sights("workspace") if each["subject"] == str(inner)]
    assert "it was moved away" in seen[-1]["detail"]["trouble"]
    started = [each for each in plane.sights("sandbox.started") if "neighbours" in each["detail"]]
    assert len(started) == 1


def test_a_monitor_that_is_killed_leaves_on_the_record_that_nobody_looked(
    plane: WholePlane, work: Path
) -> None:
    with plane.running(
        "sh", "-c", "echo ready; sleep 30", options=("--workspace", str(work))
    ) as run:
        assert first_line(run) == "ready\n"
        run.kill()
        run.wait(_WAIT_S)
    ends = time.monotonic() + _WAIT_S
    while not (seen := [e for e in plane.sights("workspace") if e["subject"] == str(work)]):
        assert time.monotonic() < ends
        time.sleep(0.2)
    assert seen[0]["detail"] == {"trouble": "nobody has looked at it after the run"}
