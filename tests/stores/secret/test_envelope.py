import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import UsageError
from ringfence.stores.secret.envelope import Address, Envelope, Key, rewrap, seal, unseal

KEY = Key(id="one", secret=bytes(range(32)))
OTHER = Key(id="two", secret=bytes(range(1, 33)))
HERE = Address(organisation="org_1", space="secret", name="crm", meta={"user": "a"})


@given(st.binary(max_size=300))
def test_a_value_comes_back(value: bytes) -> None:
    assert unseal(seal(value, HERE, KEY), HERE, KEY) == value


def test_the_same_value_is_never_encrypted_alike() -> None:
    first, second = seal(b"value", HERE, KEY), seal(b"value", HERE, KEY)
    assert first.sealed != second.sealed
    assert first.wrapped != second.wrapped
    assert b"value" not in first.sealed + first.wrapped


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"organisation": "org_2"},
        {"space": "grant"},
        {"name": "crn"},
        {"meta": {"user": "b"}},
        {"organisation": "org_1s", "space": "ecret"},
    ],
)
def test_what_was_moved_does_not_open(elsewhere: dict[str, object]) -> None:
    moved = msgspec.structs.replace(HERE, **elsewhere)
    with pytest.raises(UsageError) as caught:
        unseal(seal(b"value", HERE, KEY), moved, KEY)
    assert caught.value.code == "secret_unreadable"


@given(st.sampled_from(["wrapped", "sealed"]), st.data())
def test_what_was_changed_does_not_open(part: str, data: st.DataObject) -> None:
    envelope = seal(b"value", HERE, KEY)
    sealed = bytearray(getattr(envelope, part))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(UsageError):
        unseal(msgspec.structs.replace(envelope, **{part: bytes(sealed)}), HERE, KEY)


@pytest.mark.parametrize("cut", [0, 1, 12, 13, 20])
def test_what_was_cut_does_not_open(cut: int) -> None:
    envelope = seal(b"value", HERE, KEY)
    with pytest.raises(UsageError):
        unseal(msgspec.structs.replace(envelope, sealed=envelope.sealed[:cut]), HERE, KEY)


def test_key_and_value_cannot_take_each_others_place() -> None:
    envelope = seal(b"v" * 32, HERE, KEY)
    swapped = Envelope(key_id="one", wrapped=envelope.sealed, sealed=envelope.wrapped)
    with pytest.raises(UsageError):
        unseal(swapped, HERE, KEY)


def test_another_key_opens_only_what_was_wrapped_with_it() -> None:
    envelope = seal(b"value", HERE, KEY)
    turned = rewrap(envelope, HERE, KEY, OTHER)
    assert (turned.key_id, turned.sealed) == ("two", envelope.sealed)
    assert unseal(turned, HERE, OTHER) == b"value"
    with pytest.raises(UsageError):
        unseal(turned, HERE, KEY)


def test_a_key_shows_its_id_alone() -> None:
    assert repr(KEY) == "Key(one)"
