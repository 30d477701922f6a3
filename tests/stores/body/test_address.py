import hashlib
import hmac
import os

from hypothesis import given
from hypothesis import strategies as st

from ringfence.stores.body.address import Addresses, Salts, commitment, matches


@given(key=st.binary(max_size=64), data=st.binary(max_size=300))
def test_an_address_is_the_standard_keyed_hash(key: bytes, data: bytes) -> None:
    addresses = Addresses(key)
    assert addresses.whole(data) == hmac.digest(key, data, "sha256")
    assert addresses.chunk(data) == addresses.whole(data)[:16]


def test_no_other_organisation_has_the_same_address() -> None:
    assert Addresses(b"a" * 32).whole(b"same") != Addresses(b"b" * 32).whole(b"same")


def test_a_commitment_is_verified_with_key_salt_and_bytes_alone() -> None:
    key, salt = os.urandom(32), os.urandom(16)
    address = Addresses(key).whole(b"body")
    committed = commitment(salt, address)
    assert committed == hashlib.sha256(salt + address).hexdigest()
    assert matches(key, salt, b"body", committed)
    assert not matches(key, salt, b"bodY", committed)
    assert not matches(key, os.urandom(16), b"body", committed)
    assert not matches(os.urandom(32), salt, b"body", committed)


def test_salts_never_repeat() -> None:
    salts = Salts()
    made = [salts.make() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert {len(salt) for salt in made} == {16}
