"""What is kept of a sandbox: which address was given for which name."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from ringfence.gateways.egress.place import Promises

NETWORK = ipaddress.ip_network("198.18.0.0/15")


@given(st.lists(st.sampled_from([f"n{number}.test" for number in range(30)]), max_size=60))
def test_a_name_has_one_address_and_an_address_one_name(names: list[str]) -> None:
    promises = Promises()
    given_ = {name: promises.address_of(name) for name in names}
    assert len(set(given_.values())) == len(given_)
    for name, address in given_.items():
        assert promises.address_of(name) == address
        text = str(ipaddress.ip_address(address))
        assert ipaddress.ip_address(address) in NETWORK
        assert promises.name_of(text) == name


def test_the_oldest_is_forgotten_and_never_mistaken_for_another() -> None:
    promises = Promises()
    first = promises.address_of("first.test")
    for number in range(Promises.MOST):
        assert ipaddress.ip_address(promises.address_of(f"n{number}.test")) in NETWORK
    assert promises.name_of(str(ipaddress.ip_address(first))) != "first.test"
    assert promises.name_of("192.0.2.1") is None
