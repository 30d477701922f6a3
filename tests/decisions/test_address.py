"""Addresses: the internet, what is listed, and never what only looks like it."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.address import address_fault

ANYWHERE = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_the_internet_may_be_dialled(address: str) -> None:
    assert address_fault(address, ()) == ""


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 (an address that is refused)
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.1.1",
        "172.16.0.1",
        "192.168.0.1",
        "192.0.0.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::1",
        "2002:a00:1::1",
        "2001:0:7f00:1::",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "fe80::1%eth0",
    ],
)
def test_what_lies_inside_may_not(address: str) -> None:
    assert address_fault(address, ())


def test_a_listed_network_may_be_dialled_and_nothing_beside_it() -> None:
    networks = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("::1/128"))
    assert address_fault("10.1.2.3", networks) == ""
    assert address_fault("::ffff:10.1.2.3", networks) == ""
    assert address_fault("::1", networks) == ""
    assert address_fault("10.2.0.1", networks)
    assert address_fault("127.0.0.1", networks)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::",
    ],
)
def test_metadata_is_not_reached_through_a_wide_network(address: str) -> None:
    assert "cloud" in address_fault(address, ())
    assert "cloud" in address_fault(address, ANYWHERE)


def test_metadata_is_reached_where_somebody_listed_just_that() -> None:
    assert address_fault("169.254.169.254", (ipaddress.ip_network("169.254.169.254/32"),)) == ""


@given(st.ip_addresses(v=4))
def test_an_address_that_carries_another_is_judged_as_that(
    address: ipaddress.IPv4Address,
) -> None:
    plain = bool(address_fault(str(address), ()))
    number = int(address)
    for carried in (
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80)),
    ):
        assert bool(address_fault(str(carried), ())) == plain
