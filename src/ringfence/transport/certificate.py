"""The certificate authority of one sandbox: made for it, kept in memory alone, gone with it.

Nothing is ever written to a disk: OpenSSL reads the chain from a file in memory. Leaves share one
key, are made for the hosts that were decided on, and only those; the agent gets the authority's
certificate and nothing else.
"""

import hashlib
import ipaddress
import os
import ssl
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Final, final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ringfence.transport.clock import Clock

_AUTHORITY_LIFE: Final = timedelta(days=30)
"""Longer than any sandbox runs; its key does not outlive the sandbox, whatever this says."""
_LEAF_LIFE: Final = timedelta(hours=24)
_RENEWED_US: Final = 12 * 3600 * 1_000_000
"""When a leaf is made anew: half of its life."""
_BACKDATED: Final = timedelta(hours=1)
"""For a sandbox whose clock is behind."""
_KEPT: Final = 256
"""Contexts of one sandbox; each takes about 30 KiB, and some 2 ms to make."""
_NAME_CHARACTERS: Final = 64
"""The most that a common name holds (RFC 5280 appendix A.1, `ub-common-name`)."""


@final
class SandboxAuthority:
    """Signs a certificate for whichever host a sandbox may reach. Shows nothing of its keys."""

    __slots__ = ("_certificate", "_clock", "_contexts", "_key", "_leaf_key", "fingerprint", "pem")

    def __init__(self, name: str, clock: Clock) -> None:
        """Make an authority; `name` is what people see as its issuer."""
        self._clock = clock
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = _authority(self._key, name, self._now())
        self._contexts: OrderedDict[str, tuple[int, ssl.SSLContext]] = OrderedDict()
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM)
        """The certificate that clients in the sandbox must trust."""
        raw = self._certificate.public_bytes(serialization.Encoding.DER)
        self.fingerprint = hashlib.sha256(raw).hexdigest()
        """SHA-256 of it, in hexadecimal."""

    def knows(self, host: str) -> bool:
        """Whether a certificate for a host is at hand, and need not be made."""
        return host in self._contexts

    def leaf(self, host: str) -> ssl.SSLContext:
        """The server side of TLS for a host, a name or an address as `Authority.host` has it."""
        now_us = self._clock.now_us()
        made = self._contexts.get(host)
        if made is not None and now_us - made[0] < _RENEWED_US:
            self._contexts.move_to_end(host)
            return made[1]
        context = self._context(host)
        self._contexts[host] = (now_us, context)
        self._contexts.move_to_end(host)
        if len(self._contexts) > _KEPT:
            self._contexts.popitem(last=False)
        return context

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_us() // 1_000_000, UTC)

    def _context(self, host: str) -> ssl.SSLContext:
        leaf = self._sign(host)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        key = self._leaf_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _load(context, leaf.public_bytes(serialization.Encoding.PEM) + key)
        return context

    def _sign(self, host: str) -> x509.Certificate:
        now, key = self._now(), self._leaf_key.public_key()
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(_named(host[:_NAME_CHARACTERS]))
            .issuer_name(self._certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(now + _LEAF_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_alternative(host)]), critical=False)
            .add_extension(usage, critical=False)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(issuer, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _authority(key: ec.EllipticCurvePrivateKey, name: str, now: datetime) -> x509.Certificate:
    named, public = _named(name[:_NAME_CHARACTERS]), key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(named)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _load(context: ssl.SSLContext, chain: bytes) -> None:
    """Give OpenSSL a certificate and its key, which it takes from a file only, without a disk."""
    file = os.memfd_create("leaf", os.MFD_CLOEXEC)
    try:
        os.write(file, chain)
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
