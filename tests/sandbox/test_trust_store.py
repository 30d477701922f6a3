import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import pkcs12

from ringfence.sandbox.trust_store import JAVA_PASSWORD, java_store, joined, system_bundle


@pytest.fixture
def own() -> bytes:
    return trustme.CA().cert_pem.bytes()


@pytest.fixture
def other() -> bytes:
    return trustme.CA().cert_pem.bytes()


def test_the_first_bundle_that_the_system_has_is_its_own(tmp_path: Path) -> None:
    bundle = tmp_path / "roots.pem"
    bundle.write_bytes(b"roots")
    assert system_bundle((str(tmp_path / "none"), str(bundle))) == b"roots"
    assert system_bundle((str(tmp_path / "none"),)) == b""


def test_a_joined_bundle_has_our_certificate_and_every_root(own: bytes, other: bytes) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=joined(other, own).decode())
    assert len(context.get_ca_certs()) == 2


def test_a_store_for_java_holds_each_certificate_once(own: bytes, other: bytes) -> None:
    store = java_store(joined(other + own, own))
    loaded = pkcs12.load_pkcs12(store, JAVA_PASSWORD.encode())
    assert len(loaded.additional_certs) == 2


def test_a_root_that_is_none_is_left_out(own: bytes) -> None:
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    loaded = pkcs12.load_pkcs12(java_store(broken + own), JAVA_PASSWORD.encode())
    assert len(loaded.additional_certs) == 1


def test_the_systems_own_roots_make_a_store() -> None:
    bundle = system_bundle()
    if not bundle:
        pytest.skip("this system has no bundle of roots")
    assert java_store(bundle)


def test_java_itself_reads_the_store(own: bytes, tmp_path: Path) -> None:
    keytool = shutil.which("keytool")
    if keytool is None:
        pytest.skip("there is no Java here")
    path = tmp_path / "roots.p12"
    path.write_bytes(java_store(own))
    listed = subprocess.run(  # noqa: S603 (a program that was found)
        [keytool, "-list", "-keystore", str(path), "-storepass", JAVA_PASSWORD],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "trustedCertEntry" in listed.stdout, listed.stdout + listed.stderr
