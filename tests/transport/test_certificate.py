"""The authority of a sandbox: its leaves are good for their host, to whoever trusts it alone."""

import os
import ssl

import pytest

from ringfence.testing.clock import ManualClock
from ringfence.transport.certificate import SandboxAuthority
from ringfence.transport.clock import SystemClock

HOUR_US = 3_600_000_000


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> ssl.SSLObject:
    """Let both sides speak in memory; raises what the client objects to."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname=name)
    other = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (one, other):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return one


def trusting(authority: SandboxAuthority) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.mark.parametrize(
    "host", ["api.example", "a_b.example", "10.0.0.1", "::1", "x" * 63 + ".example"]
)
def test_a_leaf_is_good_for_its_host(host: str) -> None:
    authority = SandboxAuthority("Ringfence sbx_1", SystemClock())
    client = handshake(authority.leaf(host), trusting(authority), host)
    assert client.version() == "TLSv1.3"


def test_a_leaf_is_good_for_no_other_host_and_to_nobody_else() -> None:
    authority = SandboxAuthority("one", SystemClock())
    other = SandboxAuthority("two", SystemClock())
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(authority.leaf("api.example"), trusting(authority), "evil.example")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority.leaf("api.example"), trusting(other), "api.example")
    assert authority.fingerprint != other.fingerprint


def test_a_leaf_is_made_once_and_again_before_it_is_over() -> None:
    clock = ManualClock()
    authority = SandboxAuthority("one", clock)
    first = authority.leaf("api.example")
    assert authority.leaf("api.example") is first
    clock.advance(13 * HOUR_US)
    assert authority.leaf("api.example") is not first


def test_only_so_many_leaves_are_kept() -> None:
    authority = SandboxAuthority("one", ManualClock())
    first = authority.leaf("first.example")
    for number in range(256):
        authority.leaf(f"host{number}.example")
    assert authority.knows("host255.example")
    assert not authority.knows("first.example")
    assert authority.leaf("first.example") is not first


def test_nothing_is_left_open_and_nothing_is_shown() -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (names alone)
    authority = SandboxAuthority("one", SystemClock())
    authority.leaf("api.example")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 (names alone)
    assert b"PRIVATE" not in authority.pem
    assert "EllipticCurve" not in repr(authority)
