from functools import partial
from pathlib import Path

import pytest
from tests.stores.verification.recording import copied, record

from ringfence.analysis.verification import Fault
from ringfence.domain.error import UnavailableError, UsageError
from ringfence.protocols import note
from ringfence.protocols.note import COSIGNATURE, VerifierKey
from ringfence.protocols.signature import SigningKey, cosigned_text
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.checkpoint.place import hashes_path, notes_path
from ringfence.stores.ledger.leaves import leaf_reader
from ringfence.stores.ledger.sqlite_logs import SqliteLogs
from ringfence.stores.verification import Outside, prove, verify_proof


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("proven") / "data"
    record(folder, 60, most=5)
    return folder


def leaves(folder: Path) -> list[bytes]:
    return [
        leaf
        for group in leaf_reader(partial(SqliteLogs, folder), "log_1")(1)
        for leaf in group.leaves
    ]


def trusted(folder: Path) -> Outside:
    return Outside(key=SigningKeys(folder).current().verifier())


def test_every_event_is_proven_to_whoever_has_the_key(folder: Path) -> None:
    for leaf in leaves(folder):
        report = verify_proof(prove(folder, leaf), trusted(folder))
        assert report.holds, report.findings


def test_no_byte_of_a_proof_can_change(folder: Path) -> None:
    data = prove(folder, leaves(folder)[30])
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        try:
            assert not verify_proof(changed, trusted(folder)).holds, at
        except UsageError as error:
            assert error.code in {"proof_malformed", "note_malformed"}  # noqa: PT017 (either is right)


def test_a_proof_needs_the_right_key(folder: Path, tmp_path: Path) -> None:
    data = prove(folder, leaves(folder)[0])
    with pytest.raises(UsageError) as caught:
        verify_proof(data, Outside())
    assert caught.value.code == "key_needed"
    record(tmp_path / "other", 3)
    (finding,) = verify_proof(data, trusted(tmp_path / "other")).findings
    assert finding.fault is Fault.CHECKPOINT_ALTERED


def test_what_is_not_covered_or_not_as_signed_is_not_proven(folder: Path, tmp_path: Path) -> None:
    other = copied(folder, tmp_path / "data")
    leaf = leaves(other)[10]
    hashes = bytearray(hashes_path(other, "log_1").read_bytes())
    hashes[0] ^= 1
    hashes_path(other, "log_1").write_bytes(hashes)
    with pytest.raises(UsageError, match="not as it was signed"):
        prove(other, leaf)
    notes_path(other, "log_1").unlink()
    with pytest.raises(UnavailableError):
        prove(other, leaf)


def test_the_checkpoint_of_a_proof_must_have_been_seen_by_a_demanded_witness(folder: Path) -> None:
    name, key = "w1.example", SigningKeys(folder).current().verifier()
    witness = SigningKey(name, bytes(range(32)))
    demanded = VerifierKey(name=name, public=witness.public, kind=COSIGNATURE)
    leaf = leaves(folder)[0]
    proof = prove(folder, leaf)
    outside = Outside(key=key, witnesses=(demanded,))
    [found] = verify_proof(proof, outside).findings
    assert found.fault is Fault.UNWITNESSED
    text = note.parse(proof.partition(b"\n\n")[2]).text
    made = witness.sign(cosigned_text(text, 7), name)
    data = demanded.id + (7).to_bytes(8, "big") + made.data
    seen = proof + f"\u2014 {name} {note.encode64(data)}\n".encode()
    assert verify_proof(seen, outside).findings == []
