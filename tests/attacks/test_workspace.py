"""Attacks on the look at a workspace: nothing that an agent leaves is hidden from it."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.attacks.attempt import PROGRAMS
from tests.folders import let_in
from tests.sandbox.conftest import need
from tests.sandbox.whole import AGENT, ORDINARY, WholePlane, config, first_line, ordinary

from ringfence.domain.agent import SandboxTier

_WAIT_S = 60.0


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholePlane]:
    need(SandboxTier.STRICT)
    need(SandboxTier.REDUCED)
    folder = tmp_path_factory.mktemp("plane").resolve()
    let_in(folder)
    agents = [AGENT.format(name=name, tier="strict") for name in ("a", "outer")]
    agents.append(AGENT.format(name="reduced", tier="reduced"))
    agents.append(AGENT.format(name="masked", tier="{tier: strict, protected: mask}"))
    made = WholePlane(folder, config(*agents), user=ordinary())
    made.start()
    yield made
    made.stop()


@pytest.fixture
def work(plane: WholePlane, request: pytest.FixtureRequest) -> Path:
    """A workspace of this test alone, which the user of the plane owns."""
    name = str(request.node.name)
    made = Path(plane.folder / (name[:40] + name[-8:].strip("[]")))
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


def test_where_masks_stand_nothing_that_runs_later_is_made_while_a_run_lasts(
    plane: WholePlane, work: Path
) -> None:
    (work / ".git").mkdir()
    _give(plane, work / ".git")
    script = """
for n in .claude .vscode .git/hooks; do echo evil > $n/x; mkdir -p $n/y; rmdir $n; mv $n z; done
for n in .mcp.json .envrc; do echo evil > $n; rm -rf $n; mv $n z; ln -s /tmp $n; done
mkdir .new && echo evil > .new/x && mv -T .new .claude
echo $(ls -A); echo made > file; sleep 1
"""
    options = ("--workspace", str(work))
    with plane.running("sh", "-c", script, agent="masked", options=options) as run:
        inside = set(first_line(run).split())
        on_host = {each.name for each in work.iterdir()}
        run.wait(_WAIT_S)
    assert {".claude", ".envrc", ".git"} <= inside
    assert {".claude", ".vscode", ".mcp.json", ".envrc"} <= on_host
    # `z` is a copy: what cannot be moved is copied by `mv`.
    assert sorted(each.name for each in work.iterdir()) == [".git", ".new", "file", "z"]
    assert list((work / ".git").iterdir()) == []


def test_masks_of_a_run_that_was_killed_go_with_the_next_which_says_that_nobody_looked(
    plane: WholePlane, work: Path
) -> None:
    options = ("--workspace", str(work))
    with plane.running(
        "sh", "-c", "echo evil > .bashrc; echo ready; sleep 30", agent="masked", options=options
    ) as run:
        assert first_line(run) == "ready\n"
        run.kill()
        run.wait(_WAIT_S)
    assert (work / ".claude").is_dir()
    ran = plane.run("sh", "-c", "echo again >> .bashrc", options=options)
    assert ran.code == 0, ran
    assert f"nobody has looked at {work} after sbx_" in ran.err
    assert "changed since it began: .bashrc" in ran.err
    [left] = work.iterdir()
    assert left.name.startswith(".bashrc.quarantined-")  # and what was there is not put back
    assert plane.run("true", options=options).err == ""


@pytest.mark.parametrize("agent", ["a", "reduced"])
def test_nothing_that_runs_later_stays_in_its_place_however_it_is_left(
    plane: WholePlane, work: Path, agent: str
) -> None:
    (work / ".git" / "hooks").mkdir(parents=True)
    (work / "script").write_text("mine")
    (work / ".git" / "hooks" / "pre-commit").hardlink_to(work / "script")
    _give(plane, work / ".git", work / ".git" / "hooks", work / "script")
    program = (PROGRAMS / "leave.py").read_text()
    seen = len(plane.events())
    ran = plane.run("python3", "-c", program, agent=agent, options=("--workspace", str(work)))
    assert ran.code == 0, ran
    assert "its mode was 755, and is 311 now" in ran.err
    assert "not all of the workspace was looked at" in ran.err
    left = {os.path.relpath(place, os.fsencode(work)) for place in _late(os.fsencode(work))}
    assert left == {os.fsencode("deep" + "/d" * 70 + "/.envrc")}, ran
    assert (work / ".git" / "hooks" / "pre-commit").read_text() == "mine"
    for name, mode in (("write", 0o300), ("read", 0o400), ("none", 0o000), ("seen", 0o500)):
        assert (work / f"locked-{name}").stat().st_mode & 0o777 == mode
        assert [each.name[:18] for each in (work / f"locked-{name}/in").iterdir()] == [
            ".envrc.quarantined"
        ]
    told = {
        each["detail"]["path"]
        for each in plane.events()[seen:]
        if each.get("what") == "finding.late_code"
        and each["detail"]["path"].startswith(("pipe", "e\x1b", "bytes", "case", "stuff", "todo"))
    }
    assert told == {
        "pipe/.git/config",
        "pipe/.envrc",
        "e\x1b[2J\n/.envrc",
        "bytes\\xff\\xfe/.git/hooks",
        "case/.GIT/Config",
        "stuff/config",
        "todo/.git/rebase-merge/git-rebase-todo",
    }


def _late(folder: bytes) -> Iterator[bytes]:
    """What still is where somebody would run it."""
    for at, folders, files in os.walk(folder):
        if b".quarantined-" in at:
            continue  # a folder that was set aside as a whole
        for name in (*folders, *files):
            path = os.path.join(at, name)
            is_late = name in {b".envrc", b"Config", b"git-rebase-todo", b".vscode"}
            is_late |= (name == b"config" and b"stuff" in at + name) or name.endswith(b".js")
            is_late |= name == b"pre-commit" and b"bytes" in at
            if is_late or (name in {b".git", b"config"} and not os.path.isdir(path)):
                yield path
