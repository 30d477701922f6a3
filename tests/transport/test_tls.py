import os
import ssl
from pathlib import Path

import pytest
import trustme

from ringfence.domain.error import UsageError
from ringfence.transport.tls import ServerTls, client_context


def write(folder: Path, *, at_s: int) -> tuple[Path, Path]:
    issued = trustme.CA().issue_cert("model.example")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    for name in ("key.pem", "cert.pem"):
        os.utime(folder / name, (at_s, at_s))
    return folder / "cert.pem", folder / "key.pem"


def test_files_are_read_again_only_when_they_changed(tmp_path: Path) -> None:
    tls = ServerTls(*write(tmp_path, at_s=1))
    context = tls.context
    assert tls.refresh() is False
    write(tmp_path, at_s=2)
    assert tls.refresh() is True
    assert tls.refresh() is False
    assert tls.context is context


def test_a_bad_renewal_is_refused_and_the_old_certificate_stays(tmp_path: Path) -> None:
    certificate, key = write(tmp_path, at_s=1)
    tls = ServerTls(certificate, key)
    before = tls.context
    key.write_text("not a key")
    with pytest.raises(UsageError) as caught:
        tls.refresh()
    assert caught.value.code == "tls_unusable"
    assert tls.context is before
    key.unlink()
    with pytest.raises(UsageError):
        tls.refresh()


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    certificate, _ = write(tmp_path, at_s=1)
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("model.example").private_key_pem.write_to_path(other)
    with pytest.raises(UsageError):
        ServerTls(certificate, other)


def test_neither_side_speaks_old_tls_and_the_client_always_verifies(tmp_path: Path) -> None:
    assert ServerTls(*write(tmp_path, at_s=1)).context.minimum_version == ssl.TLSVersion.TLSv1_2
    context = client_context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname is True


def test_a_private_authority_is_added_and_a_bad_one_refused(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(authority)
    assert len(client_context(authority).get_ca_certs()) == len(client_context().get_ca_certs()) + 1
    for bad in (tmp_path / "none.pem", tmp_path):
        with pytest.raises(UsageError) as caught:
            client_context(bad)
        assert caught.value.code == "ca_unusable"
