import pytest

from ringfence.domain.error import UsageError
from ringfence.protocols import key_chain
from ringfence.protocols.key_chain import accepted, read, state
from ringfence.protocols.signature import SigningKey

FIRST, SECOND, THIRD, OTHER = (SigningKey("house", bytes([number]) * 32) for number in range(4))
CHAIN = state(FIRST, 1) + state(SECOND, 2, FIRST) + state(THIRD, 3, SECOND)


def test_each_key_is_vouched_for_by_the_one_before_it() -> None:
    statements = read(CHAIN)
    assert [one.key for one in statements] == [each.verifier() for each in (FIRST, SECOND, THIRD)]
    assert [one.time_us for one in statements] == [1, 2, 3]


def test_a_trusted_key_leads_to_those_after_it_alone() -> None:
    statements = read(CHAIN)
    keys = [one.key for one in statements]
    assert accepted(statements, None) == keys
    assert accepted(statements, SECOND.verifier()) == keys[1:]
    with pytest.raises(UsageError) as caught:
        accepted(statements, OTHER.verifier())
    assert caught.value.code == "key_untrusted"


@pytest.mark.parametrize(
    "data",
    [
        state(FIRST, 1) + state(SECOND, 2),
        state(FIRST, 1) + state(SECOND, 2, OTHER),
        state(FIRST, 1) + state(THIRD, 3, SECOND),
        state(FIRST, 1) + state(SigningKey("barn", bytes(32)), 2, FIRST),
        CHAIN.replace(b"time 2", b"time 4"),
        CHAIN.replace(b"time 2", b"time x"),
        CHAIN[:-1],
        CHAIN + b"more",
        CHAIN.replace(b"house/key\n", b"barn/key\n"),
    ],
)
def test_a_chain_that_does_not_hold_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        read(data)
    assert caught.value.code == "key_chain_broken"


def test_an_empty_chain_has_no_keys() -> None:
    assert key_chain.read(b"") == []
