from tests.cli.installation import Installation

from ringfence.cli.status import Worker, worker_line


def test_a_running_plane_says_how_it_is(plane: Installation) -> None:
    result = plane.call("status")
    assert result.code == 0
    assert f"is running with data folder {plane.data}" in result.out
    assert "epoch 1" in result.out
    assert "worker         pid" in result.out
    assert " MB" in result.out


def test_json_has_readable_times(plane: Installation) -> None:
    document = plane.call("status", "--json").json()
    assert document["is_serving"] is True
    assert document["started_at"].endswith("Z")


def test_a_place_without_a_worker_shows_why_and_nothing_else() -> None:
    worker = Worker(pid=7, epoch=1, open_invocations=1, connections=2)
    assert worker_line(worker).split(None, 1)[1] == "pid 7: 1 open invocation, 2 connections, 0 MB"
    gone = Worker(
        pid=0, epoch=0, open_invocations=0, connections=0, trouble="worker 1 is being started"
    )
    assert worker_line(gone).split(None, 1)[1] == "worker 1 is being started"
