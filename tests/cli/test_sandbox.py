import json
from collections.abc import Iterator

import pytest
from tests.sandbox.whole import AGENT, RUN_S, WholePlane, config, first_line

AGENTS = [AGENT.format(name=name, tier="none") for name in ("a", "b")]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholePlane]:
    made = WholePlane(tmp_path_factory.mktemp("plane").resolve(), config(*AGENTS))
    made.start()
    yield made
    made.stop()


def running(plane: WholePlane) -> list[dict[str, str]]:
    listed: list[dict[str, str]] = json.loads(plane.ask("sandbox", "list", "--json").stdout)
    return listed


def test_nothing_is_said_to_run_where_nothing_does(plane: WholePlane) -> None:
    listed = plane.ask("sandbox", "list")
    assert (listed.returncode, listed.stdout) == (0, "")
    assert "ringfence run" in listed.stderr
    assert running(plane) == []


def test_what_runs_is_listed_and_ended_by_its_id_or_its_traces(plane: WholePlane) -> None:
    for keys in (("id",), ("invocation",), ("id", "invocation")):  # what has ended stops nothing
        with plane.running("sh", "-c", "echo ready; exec sleep 300") as run:
            assert first_line(run) == "ready\n"
            (box,) = running(plane)
            assert (box["agent"], box["tier"]) == ("a", "none")
            assert str(plane.work) in plane.ask("sandbox", "list").stdout
            stopped = plane.ask("sandbox", "stop", *(box[key] for key in keys))
            assert (stopped.returncode, stopped.stdout) == (0, "")
            assert f"stopped {box['id']} of a" in stopped.stderr
            assert running(plane) == []
            _, said = run.communicate(timeout=RUN_S)
            assert run.returncode == 125
            assert "it was ended by" in said


def test_all_of_one_agent_are_ended_and_no_others(plane: WholePlane) -> None:
    words = ("sh", "-c", "echo ready; exec sleep 300")
    with (
        plane.running(*words) as one,
        plane.running(*words) as two,
        plane.running(*words, agent="b") as other,
    ):
        assert [first_line(each) for each in (one, two, other)] == ["ready\n"] * 3
        assert plane.ask("sandbox", "stop", "--agent", "a").returncode == 0
        assert [each["agent"] for each in running(plane)] == ["b"]
        assert [each.wait(RUN_S) for each in (one, two)] == [125, 125]
        assert other.poll() is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sbx_1",), "no sandbox `sbx_1` is running\n  `ringfence sandbox list` shows what runs\n"),
        (("--agent", "b"), "nothing of agent `b` is running"),
        ((), "name what to stop\n  ids, or --agent"),
        (("sbx_1", "--agent", "b"), "name what to stop"),
    ],
)
def test_what_cannot_be_stopped_is_said(
    plane: WholePlane, words: tuple[str, ...], said: str
) -> None:
    result = plane.ask("sandbox", "stop", *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr
