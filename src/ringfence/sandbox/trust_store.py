"""Files by which the programs of a sandbox trust its certificate authority beside the system's."""

import warnings
from pathlib import Path
from typing import Final

BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS
)
"""Where systems keep all roots in one file."""
JAVA_PASSWORD: Final = "changeit"  # noqa: S105 (Java's usual one; certificates are public)

_END: Final = b"-----END CERTIFICATE-----"


def system_bundle(places: tuple[str, ...] = BUNDLES) -> bytes:
    """The system's roots in PEM; empty where there are none."""
    for place in places:
        path = Path(place)
        if path.is_file():
            return path.read_bytes()
    return b""


def joined(roots: bytes, own: bytes) -> bytes:
    """One file of both, ours first: some programs stop reading at a certificate they dislike."""
    return own.rstrip(b"\n") + b"\n" + roots


def java_store(bundle: bytes) -> bytes:
    """The same certificates as a PKCS#12 store that Java takes for its roots.

    A root that is not as X.509 has it, which some systems still ship, is left out.
    """
    # Loaded only where there is Java: it takes longer than all else before a start.
    from cryptography import x509  # noqa: PLC0415 (as said)
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 (as said)
        BestAvailableEncryption,
        pkcs12,
    )

    entries = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, block in enumerate(_blocks(bundle)):
            try:
                found = x509.load_pem_x509_certificate(block)
            except (ValueError, Warning):
                continue
            entries.append(pkcs12.PKCS12Certificate(found, f"root-{number}".encode()))
    return pkcs12.serialize_java_truststore(
        entries, BestAvailableEncryption(JAVA_PASSWORD.encode())
    )


def _blocks(bundle: bytes) -> list[bytes]:
    """Each certificate once, in order."""
    parts = (each[each.find(b"-----BEGIN") :].strip() for each in bundle.split(_END))
    return [each + b"\n" + _END + b"\n" for each in dict.fromkeys(parts) if each.startswith(b"-")]
