from hypothesis import given
from hypothesis import strategies as st

from ringfence.protocols.mcp.sealing import KEY_BYTES, NONCE_BYTES, Sealer

SEALER = Sealer(b"k" * KEY_BYTES)
NONCE = b"n" * NONCE_BYTES


@given(st.binary(max_size=200), st.binary(max_size=30))
def test_a_seal_opens_for_whom_it_is_and_in_time(content: bytes, bound: bytes) -> None:
    sealed = SEALER.seal(content, bound, 100, NONCE)
    assert Sealer.is_ours(sealed)
    assert SEALER.open(sealed, bound, 99) == content
    assert SEALER.open(sealed, bound, 100) is None
    assert SEALER.open(sealed, bound + b"x", 99) is None
    assert Sealer(b"j" * KEY_BYTES).open(sealed, bound, 99) is None


@given(st.text(max_size=80))
def test_what_is_not_ours_opens_nothing(text: str) -> None:
    assert SEALER.open(text, b"", 0) is None
    assert SEALER.open("rf1." + text, b"", 0) is None


def test_a_changed_seal_opens_nothing() -> None:
    sealed = SEALER.seal(b"content", b"", 100, NONCE)
    for at in range(4, len(sealed)):
        other = "A" if sealed[at] != "A" else "B"
        changed = sealed[:at] + other + sealed[at + 1 :]
        assert SEALER.open(changed, b"", 0) in {None, b"content"}
        if at < len(sealed) - 2:  # the last digits of base64 may hold bits that mean nothing
            assert SEALER.open(changed, b"", 0) is None
