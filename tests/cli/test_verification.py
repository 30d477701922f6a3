import json
import time
from pathlib import Path

import pytest
from tests.cli.installation import Installation, call, running, serving_model
from tests.stores.verification.recording import copied, opened, record, rewrite

from ringfence.protocols import note
from ringfence.protocols.note import VerifierKey
from ringfence.protocols.signature import holds
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.checkpoint.place import notes_path
from ringfence.stores.verification import read_key


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verified") / "data"
    record(folder, 40)
    return folder


def test_a_record_that_holds_is_said_to_with_what_that_leaves_open(folder: Path) -> None:
    result = call("audit", "verify", "--data", str(folder))
    assert result.code == 0, result.written
    assert "the record holds" in result.out
    assert "without --key" in result.out
    assert str(SigningKeys(folder).current().verifier()) in result.out
    key, kept = str(SigningKeys(folder).current().verifier()), str(notes_path(folder, "log_1"))
    trusted = call("audit", "verify", "--data", str(folder), "--key", key, "--since", kept)
    assert trusted.code == 0
    assert "without --" not in trusted.out


def test_an_altered_event_is_named_with_exit_code_1(folder: Path, tmp_path: Path) -> None:
    other = copied(folder, tmp_path / "data")

    def alter(leaves: list[bytes], at: int) -> None:
        leaves[at] = leaves[at].replace(b'"epoch":1', b'"epoch":2')

    with opened(other) as connection:
        rewrite(connection, 5, alter)
    result = call("audit", "verify", "--data", str(other))
    assert result.code == 1
    assert "altered: log log_1 event 5 (" in result.out
    document = json.loads(call("audit", "verify", "--data", str(other), "--json").out)
    assert document["holds"] is False
    assert document["cannot_exclude"]
    (finding,) = document["findings"]
    assert (finding["fault"], finding["log"], finding["first"]) == ("altered", "log_1", 5)


@pytest.mark.parametrize(
    "arguments", [("--data", "DIR/none"), ("--key", "x"), ("--since", "DIR/none")]
)
def test_wrong_use_is_told_apart_from_a_record_that_does_not_hold(
    arguments: tuple[str, str], folder: Path, tmp_path: Path
) -> None:
    option, value = arguments
    data = ("--data", str(folder)) if option != "--data" else ()
    result = call("audit", "verify", *data, option, value.replace("DIR", str(tmp_path)))
    assert result.code == 2


def test_a_running_plane_is_verified_exported_and_proven(
    plane: Installation, tmp_path: Path
) -> None:
    verified = plane.call("audit", "verify", "--json")
    assert verified.code == 0, verified.written
    key = verified.json()["key"]
    export = tmp_path / "export.jsonl"
    assert plane.call("audit", "export", "-o", str(export)).code == 0
    alone = call("audit", "verify", str(export), "--key", key, "--json")
    assert alone.code == 0, alone.written
    assert alone.json()["events"] >= 6
    (event, *_) = plane.call("audit", "query", "--kind", "outcome", "--json").json()
    proof = tmp_path / "one.tlog-proof"
    proof.write_text(plane.call("audit", "proof", event["action"], "--kind", "outcome").out)
    checked = call("audit", "verify", str(proof), "--key", key)
    assert checked.code == 0, checked.written
    assert event["action"] in checked.out
    proof.write_text(proof.read_text().replace("index ", "index 1"))
    assert call("audit", "verify", str(proof), "--key", key).code == 1
    cut = export.read_bytes().split(b"\n", 1)[1]
    export.write_bytes(cut)
    assert call("audit", "verify", str(export), "--key", key).code == 1


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_a_key_is_changed_and_the_old_one_leads_to_it(
    state: str, request: pytest.FixtureRequest
) -> None:
    installed: Installation = request.getfixturevalue("plane" if state == "running" else "stopped")
    if state == "stopped":
        installed.call("agent", "token", "triage")
    before = installed.call("audit", "verify", "--json").json()["key"]
    after = installed.call("audit", "rotate-key").out.strip()
    assert after != before
    changes = installed.call("audit", "query", "--kind", "change", "--json").json()
    noted = [one for one in changes if one["what"] == "signing_key.rotated"]
    assert noted[0]["detail"] == {"old": before, "new": after}
    for key in (before, after):
        until = time.monotonic() + 60
        while (result := installed.call("audit", "verify", "--key", key)).code:
            assert time.monotonic() < until, result.written
            time.sleep(0.05)
    assert installed.call("audit", "proof", "act_none").code == 2


def test_messages_are_erased_unless_they_are_held_and_the_record_still_holds(
    plane: Installation,
) -> None:
    _hold_and_erase(plane)


def test_all_of_it_works_in_a_database_too(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGFENCE_DATABASE", postgresql_url)
    with serving_model() as url, running(tmp_path, url) as plane:
        plane.token = plane.call("agent", "token", "triage").out.strip()
        _hold_and_erase(plane)
        action = next(
            one["action"]
            for one in plane.call("audit", "query", "--json").json()
            if one["kind"] == "outcome"
        )
        proof, export = tmp_path / "proof", tmp_path / "export"
        shown = plane.call("audit", "proof", action)
        assert shown.code == 0, shown.written
        proof.write_text(shown.out)
        assert plane.call("audit", "export", "-o", str(export)).code == 0
        key = plane.call("audit", "verify", "--json").json()["key"]
        for file in (proof, export):
            verified = plane.call("audit", "verify", str(file), "--key", key)
            assert verified.code == 0, verified.written
    assert not (plane.data / "holds").exists()
    stopped = plane.call("audit", "verify", "--key", key)
    assert stopped.code == 0, stopped.written


def _hold_and_erase(plane: Installation) -> None:
    status, _ = plane.ask("forget me entirely")
    assert status == 200
    trace = plane.newest_trace("triage")
    assert "forget me entirely" in plane.call("trace", "show", trace, "--full").out
    for unknown in ("agent:triag", "invocation:inv_none"):
        refused = plane.call("audit", "hold", unknown, "--reason", "case 7")
        assert refused.code == 2, refused.written
    held = plane.call("audit", "hold", "agent:triage", "--reason", "case 7")
    assert held.code == 0, held.written
    assert "case 7" in plane.call("audit", "hold").out
    refused = plane.call("audit", "erase", "--invocation", trace, "--reason", "asked")
    assert refused.code == 2
    assert "legal hold" in refused.err
    assert plane.call("audit", "hold", "agent:triage", "--release", "--reason", "over").code == 0
    erased = plane.call("audit", "erase", "--invocation", trace, "--reason", "asked")
    assert erased.code == 0, erased.written
    assert "forget me entirely" not in plane.call("trace", "show", trace, "--full").out
    result = plane.call("audit", "verify", "--json")
    assert result.code == 0, result.written
    assert result.json()["bodies_absent"] >= 2
    changes = plane.call("audit", "query", "--kind", "change", "--json").json()
    noted = [one["what"] for one in changes]
    assert [one for one in noted if one.split(".")[0] in {"hold", "bodies"}] == [
        "bodies.erased",
        "hold.released",
        "hold.placed",
    ]


def test_a_new_key_vouches_at_once_for_logs_that_nobody_writes(
    folder: Path, tmp_path: Path
) -> None:
    """A log of a worker that ended, and the plane is stopped."""
    (tmp_path / "ringfence.yaml").write_text("format: 1\norganisation: acme\n")
    data = copied(folder, tmp_path / "data")
    record(data, 10, log_id="log_2", seed=7)
    where = ("--config", str(tmp_path / "ringfence.yaml"), "--data", str(data))
    rotated = call("audit", "rotate-key", *where)
    assert rotated.code == 0, rotated.written
    key = rotated.out.strip()
    new = read_key(key)
    verified = call("audit", "verify", "--key", key, "--json", *where)
    assert verified.code == 0, verified.written
    assert verified.json()["logs"] == 2
    held = {one.name for one in (data / "checkpoints").glob("*.notes")}
    assert held == {"log_1.notes", "log_2.notes"}
    for log_id in ("log_1", "log_2"):
        last = list(note.split(notes_path(data, log_id).read_bytes()))[-1]
        assert holds(note.parse(last), VerifierKey(name=f"{new.name}/{log_id}", public=new.public))
