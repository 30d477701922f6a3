"""How signatures are judged; what tampering looks like from outside is in `test_folder`."""

from pathlib import Path

from tests.stores.checkpoint.signing import LOG, MemoryLog, opened

from ringfence.analysis.span import Span
from ringfence.analysis.verification import Fault
from ringfence.stores.checkpoint import SigningKeys, deletion
from ringfence.stores.checkpoint.leaf_file import LeafFile
from ringfence.stores.checkpoint.place import deletions_path, hashes_path, notes_path
from ringfence.stores.verification.trust import Evidence, Judge, Vouched


def judged(folder: Path, keys: SigningKeys, trusted_from: int = 0, kept: int = 0) -> Vouched:
    known = [one.key for one in keys.statements()]
    hashes = LeafFile.open_readable(hashes_path(folder, LOG))
    path = deletions_path(folder, LOG)
    evidence = Evidence(
        log=LOG,
        notes=notes_path(folder, LOG).read_bytes(),
        hashes=hashes,
        kept=kept,
        deletions=path.read_bytes() if path.exists() else b"",
    )
    try:
        return Judge(known, trusted_from).judge(evidence, ())
    finally:
        hashes.close()


def signed(folder: Path, *sizes: int) -> None:
    log = MemoryLog()
    attestation = opened(folder, log)
    for group in log.write(*sizes):
        attestation.add(group)
        attestation.sign()
    attestation.close()


def test_the_newest_checkpoint_counts(tmp_path: Path) -> None:
    signed(tmp_path, 3, 4)
    vouched = judged(tmp_path, SigningKeys(tmp_path))
    assert (vouched.size, vouched.checkpoints, vouched.is_exact) == (7, 3, True)
    assert vouched.findings == []


def test_a_key_that_was_replaced_may_not_sign_again(tmp_path: Path) -> None:
    signed(tmp_path, 3)
    keys = SigningKeys(tmp_path)
    secret = keys.path.read_bytes()
    keys.rotate(1)
    log = MemoryLog()
    log.write(3)
    opened(tmp_path, log).close()
    assert judged(tmp_path, SigningKeys(tmp_path)).findings == []
    keys.path.write_bytes(secret)
    attestation = opened(tmp_path, log)
    attestation.close()
    (finding,) = judged(tmp_path, SigningKeys(tmp_path)).findings
    assert finding.fault is Fault.CHECKPOINT_ALTERED
    assert "replaced before" in finding.text


def test_a_log_without_a_signature_of_the_trusted_key_is_named(tmp_path: Path) -> None:
    signed(tmp_path, 3)
    SigningKeys(tmp_path).rotate(1)
    (finding,) = judged(tmp_path, SigningKeys(tmp_path), trusted_from=1).findings
    assert finding.fault is Fault.KEYS_ALTERED


def test_a_frontier_ahead_of_all_checkpoints_tells_that_some_are_gone(tmp_path: Path) -> None:
    signed(tmp_path, 3)
    (finding,) = judged(tmp_path, SigningKeys(tmp_path), kept=5).findings
    assert (finding.fault, finding.first, finding.last) == (Fault.CHECKPOINT_REMOVED, 4, 5)


def test_only_a_signed_list_of_deletions_excuses_them(tmp_path: Path) -> None:
    signed(tmp_path, 3)
    key = SigningKeys(tmp_path).current()
    deletion.add(tmp_path, LOG, [Span(1, 2)], key)
    assert judged(tmp_path, SigningKeys(tmp_path)).deleted == [Span(1, 2)]
    data = deletions_path(tmp_path, LOG).read_bytes()
    for forged in (data.replace(b"1-2", b"1-3"), data[:-1], deletion.write("log_2", [], key)):
        deletions_path(tmp_path, LOG).write_bytes(forged)
        vouched = judged(tmp_path, SigningKeys(tmp_path))
        assert [one.fault for one in vouched.findings] == [Fault.DELETIONS_ALTERED]
        assert vouched.deleted == []


def test_a_key_that_was_replaced_excuses_no_deletion(tmp_path: Path) -> None:
    signed(tmp_path, 3)
    keys = SigningKeys(tmp_path)
    old = keys.current()
    deletion.add(tmp_path, LOG, [Span(1, 1)], old)
    keys.rotate(1)
    assert judged(tmp_path, keys, trusted_from=1).deleted == [Span(1, 1)]
    deletion.add(tmp_path, LOG, [Span(2, 2)], old)
    vouched = judged(tmp_path, keys, trusted_from=1)
    assert Fault.DELETIONS_ALTERED in {one.fault for one in vouched.findings}
    assert vouched.deleted == []
