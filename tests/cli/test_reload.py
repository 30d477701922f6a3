from pathlib import Path

from tests.cli.installation import running


def test_a_running_plane_takes_a_new_epoch_or_none(tmp_path: Path) -> None:
    with running(tmp_path) as plane:
        path = tmp_path / "ringfence.yaml"
        good = path.read_text()
        assert plane.call("reload").out.startswith("epoch 1 is in force")
        path.write_text(good.replace("  poor:", "  rich:"))
        assert plane.call("reload", "--json").json()["epoch"] == 2
        names = [each["name"] for each in plane.call("agent", "list", "--json").json()]
        assert "rich" in names
        path.write_text(good.replace("owner:", "ownr:"))
        result = plane.call("reload")
        assert result.code == 2
        assert "agent `triage` has no `owner` (and 3 more problems)" in result.err
        assert "`ringfence check` tells them all" in result.err
        assert plane.call("status", "--json").json()["epoch"] == 2
