import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from tests.stores.verification.recording import record

from ringfence.analysis.verification import Fault
from ringfence.domain.error import UsageError
from ringfence.protocols.note import COSIGNATURE, Note, Signature, VerifierKey
from ringfence.protocols.signature import SigningKey, cosigned_text
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.checkpoint.place import directory_path, keys_path, notes_path
from ringfence.stores.verification.folder import verify_folder
from ringfence.stores.verification.outside import Kept, Outside, read_kept, read_key, read_witness


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outside")
    record(folder, 10, most=2)
    return folder


def test_a_key_is_given_as_text_or_in_a_file(folder: Path, tmp_path: Path) -> None:
    key = SigningKeys(folder).current().verifier()
    (tmp_path / "key").write_text(f"{key}\n")
    assert read_key(str(key)) == read_key(str(tmp_path / "key")) == key
    with pytest.raises(UsageError):
        read_key(str(tmp_path / "missing"))
    with pytest.raises(UsageError):
        read_key("x" * 5000)


def test_checkpoints_are_found_among_other_notes(folder: Path, tmp_path: Path) -> None:
    paths = (keys_path(folder), directory_path(folder), notes_path(folder, "log_1"))
    (tmp_path / "kept").write_bytes(b"".join(path.read_bytes() for path in paths))
    kept = read_kept(tmp_path / "kept")
    name = SigningKeys(folder).current().name
    outside = Outside(kept=tuple(kept))
    sizes = [one.checkpoint.size for one in outside.of(f"{name}/log_1")]
    assert sizes == sorted(sizes)
    assert sizes[0] == 0
    assert [one.checkpoint.size for one in outside.of(f"{name}/directory")] == [1]
    assert outside.of("other") == []


@pytest.mark.parametrize("data", [b"", b"text", "text\n\n— name AAAAAAA=\n".encode()])
def test_a_file_without_checkpoints_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read_kept(tmp_path / "kept")
    assert caught.value.code == "note_malformed"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="missing"):
        read_kept(tmp_path / "missing")


def witness(name: str) -> tuple[SigningKey, VerifierKey]:
    signing = SigningKey(name, hashlib.sha256(name.encode()).digest())
    return signing, VerifierKey(name=name, public=signing.public, kind=COSIGNATURE)


def seen_by(one: Note, name: str, time_s: int = 1_795_000_000) -> Note:
    """The note with a witness's signature under it."""
    signing, key = witness(name)
    made = signing.sign(cosigned_text(one.text, time_s), name)
    line = Signature(name=name, key_id=key.id, data=time_s.to_bytes(8, "big") + made.data)
    return Note(text=one.text, signatures=(*one.signatures, line))


def newest(folder: Path) -> Kept:
    *_, last = read_kept(notes_path(folder, "log_1"))
    return last


def findings(folder: Path, one: Note, *names: str) -> list[tuple[Fault, str]]:
    """What is wrong if this is what was kept elsewhere, and these witnesses are demanded."""
    kept = (Kept(note=one, checkpoint=newest(folder).checkpoint),)
    outside = Outside(kept=kept, witnesses=tuple(witness(name)[1] for name in names))
    report = verify_folder(folder, outside, is_running=False)
    return [(found.fault, found.log) for found in report.findings]


def test_a_record_holds_if_all_witnesses_have_seen_it_and_not_if_one_has_not(folder: Path) -> None:
    plain = newest(folder).note
    both = seen_by(seen_by(plain, "w1.example"), "w2.example")
    assert findings(folder, plain) == []
    assert findings(folder, both, "w1.example", "w2.example") == []
    for one in (plain, seen_by(plain, "w1.example"), seen_by(plain, "w2.example")):
        found = findings(folder, one, "w1.example", "w2.example")
        assert found == [(Fault.UNWITNESSED, "log_1")]


def test_a_signature_that_is_not_the_witness_s_own_does_not_count(folder: Path) -> None:
    seen = seen_by(newest(folder).note, "w1.example")
    *rest, last = seen.signatures
    late = replace(last, data=(1).to_bytes(8, "big") + last.data[8:])
    forged = Note(text=seen.text, signatures=(*rest, late))
    assert findings(folder, forged, "w1.example") == [(Fault.UNWITNESSED, "log_1")]


def test_a_witness_that_is_demanded_and_nothing_kept_elsewhere_is_a_fault(folder: Path) -> None:
    outside = Outside(witnesses=(witness("w1.example")[1],))
    report = verify_folder(folder, outside, is_running=False)
    assert [each.fault for each in report.findings] == [Fault.UNWITNESSED]


def test_the_key_of_a_witness_is_of_its_own_kind(folder: Path) -> None:
    key = witness("w1.example")[1]
    assert read_witness(str(key)) == key
    with pytest.raises(UsageError) as caught:
        read_witness(str(SigningKeys(folder).current().verifier()))
    assert caught.value.code == "key_malformed"
