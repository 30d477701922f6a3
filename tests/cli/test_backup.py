import re
from pathlib import Path

from tests.cli.installation import Installation, running

from ringfence.stores.backup import read_restored


def model_url(plane: Installation) -> str:
    text = (plane.folder / "ringfence.yaml").read_text(encoding="utf-8")
    found = re.search(r'base_url: "(.*)/v1"', text)
    assert found is not None
    return found[1]


def test_a_running_plane_is_backed_up_and_comes_back(plane: Installation, tmp_path: Path) -> None:
    before = {each["id"] for each in plane.call("trace", "list", "--json").json()}
    archive = tmp_path / "copy.tar"
    made = plane.call("backup", str(archive))
    assert (made.code, made.err) == (0, "")
    assert re.search(r"\d files, ", made.out)
    again = Installation(tmp_path)
    put = again.call("restore", str(archive))
    assert put.code == 0
    assert "goes on in a new log" in put.err
    logs = len(list((again.data / "ledger").glob("log_*.db")))
    with running(tmp_path, model_url(plane)) as other:
        other.token = plane.token
        assert other.ask("and this")[0] == 200
        assert before <= {each["id"] for each in other.call("trace", "list", "--json").json()}
        events = other.call("audit", "query", "--code", "installation.restored", "--json").json()
        assert [each["actor"] for each in events] == ["plane"]
    assert read_restored(again.data) is None
    assert len(list((again.data / "ledger").glob("log_*.db"))) == logs + 1


def test_the_data_folder_of_a_plane_is_not_overwritten(plane: Installation, tmp_path: Path) -> None:
    archive = tmp_path / "copy.tar"
    assert plane.call("backup", str(archive)).code == 0
    refused = plane.call("restore", str(archive))
    assert refused.code == 2
    assert "is not empty" in refused.err
    assert plane.ask("still here")[0] == 200


def test_a_second_backup_needs_another_name(plane: Installation, tmp_path: Path) -> None:
    archive = tmp_path / "copy.tar"
    plane.call("backup", str(archive))
    assert plane.call("backup", str(archive)).code == 2
