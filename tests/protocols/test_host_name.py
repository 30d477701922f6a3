"""Hosts: one canonical form, and a refusal for whatever two readers could read differently."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.destination import Authority
from ringfence.domain.error import PeerError
from ringfence.protocols.host_name import read_authority, read_host


@pytest.mark.parametrize(
    ("text", "authority"),
    [
        (b"API.Example", Authority("api.example")),
        (b"api.example:8443", Authority("api.example", 8443)),
        (b"localhost", Authority("localhost")),
        (b"xn--bcher-kva.example", Authority("xn--bcher-kva.example")),
        (b"_dmarc.a-b.example", Authority("_dmarc.a-b.example")),
        (b"10.0.0.1:80", Authority("10.0.0.1", 80, is_address=True)),
        (b"[::1]", Authority("::1", None, is_address=True)),
        (b"[2001:DB8:0::1]:443", Authority("2001:db8::1", 443, is_address=True)),
        (b"[::ffff:127.0.0.1]", Authority("::ffff:127.0.0.1", None, is_address=True)),
    ],
)
def test_a_plain_host_has_one_form(text: bytes, authority: Authority) -> None:
    found = read_authority(text)
    if authority.is_address:
        assert ipaddress.ip_address(found.host) == ipaddress.ip_address(authority.host)
        assert (found.port, found.is_address) == (authority.port, True)
    else:
        assert found == authority


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b".",
        b"api.example.",
        b".api.example",
        b"api..example",
        b"api.example..",
        b"evil.example\0.api.example",
        b"api.example\t",
        b"api.example\r\nx:",
        b" api.example",
        b"user@api.example",
        b"user:word@api.example",
        b"api.example%2eevil",
        b"api%00.example",
        b"b\xc3\xbccher.example",
        "api。example".encode(),
        b"-api.example",
        b"api-.example",
        b"0",
        b"0x7f.1",
        b"0X7F000001",
        b"2130706433",
        b"127.1",
        b"127.0.0.1.",
        b"0177.0.0.1",
        b"127.0.0.01",
        b"256.1.1.1",
        b"1.2.3",
        b"1.2.3.4.5",
        b"a.b.0x1",
        b"api.example.0x",
        b"::1",
        b"[::1",
        b"[::1]x",
        b"[::1]80",
        b"[fe80::1%eth0]",
        b"[fe80::1%25eth0]",
        b"[127.0.0.1]",
        b"[v1.x]",
        b"api.example:",
        b"api.example:0",
        b"api.example:080",
        b"api.example:65536",
        b"api.example:+80",
        b"api.example:80:80",
        b"api.example:http",
        b"a" * 64 + b".example",
        b"a." * 130 + b"a",
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(text: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        read_authority(text)
    assert caught.value.code == "request_malformed"


@given(st.binary(max_size=60))
def test_whatever_comes_is_a_canonical_host_or_refused(data: bytes) -> None:
    try:
        found = read_authority(data)
    except PeerError:
        return
    shown = f"[{found.host}]" if ":" in found.host else found.host
    assert read_host(shown).host == found.host
    assert found.host == found.host.lower()
    assert found.port is None or 0 < found.port < 65_536


@given(st.ip_addresses())
def test_an_address_is_read_as_what_it_is(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    text = str(address) if address.version == 4 else f"[{address}]"
    found = read_authority(f"{text}:443")
    assert ipaddress.ip_address(found.host) == address
    assert found.is_address
