from tests.cli.installation import Installation


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
