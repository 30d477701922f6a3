import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import UsageError
from ringfence.protocols import note
from ringfence.protocols.note import COSIGNATURE, Note, Signature, VerifierKey
from ringfence.protocols.signature import SigningKey, cosigned_at, cosigned_text, holds

SEED = bytes(range(32))
KEY = SigningKey("house.example", SEED)
TEXT = "house.example/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"

# The example of Go's golang.org/x/mod/sumdb/note: a key pair and a note that it signed.
PUBLISHED_KEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLISHED_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6"
    "KE6RyyBwJnAM=\n"
).encode()


def signed(text: str = TEXT, name: str = "house.example/log") -> Note:
    return Note(text=text, signatures=(KEY.sign(text, name),))


def test_the_published_note_is_signed_the_same() -> None:
    key = SigningKey.parse(PUBLISHED_KEY)
    published = note.parse(PUBLISHED_NOTE)
    assert holds(published, key.verifier())
    assert published.signatures == (key.sign(published.text, "PeterNeumann"),)


def test_a_key_signs_under_the_name_of_a_log() -> None:
    one = signed()
    assert holds(one, KEY.verifier("house.example/log"))
    assert not holds(one, KEY.verifier())
    assert not holds(one, SigningKey("house.example", SEED[::-1]).verifier("house.example/log"))


@given(st.integers(0, len(TEXT) - 1), st.integers(1, 127))
def test_no_character_of_a_signed_text_can_change(at: int, by: int) -> None:
    changed = chr((ord(TEXT[at]) + by) % 128)
    forged = TEXT[:at] + changed + TEXT[at + 1 :]
    one = Note(text=forged, signatures=signed().signatures)
    assert holds(one, KEY.verifier("house.example/log")) is (forged == TEXT)


def test_one_bad_signature_of_a_key_spoils_the_note() -> None:
    good = KEY.sign(TEXT, "house.example/log")
    bad = Signature(name=good.name, key_id=good.key_id, data=bytes(64))
    one = Note(text=TEXT, signatures=(good, bad))
    assert not holds(one, KEY.verifier("house.example/log"))


def test_a_key_is_read_as_it_is_written_and_shown_to_nobody() -> None:
    again = SigningKey.parse(KEY.render())
    assert again.public == KEY.public
    assert repr(KEY) == "SigningKey(house.example)"


@pytest.mark.parametrize(
    "text", ["", "PRIVATE+KEY+a+b+c", PUBLISHED_KEY[12:], PUBLISHED_KEY.replace("c74f", "c74e")]
)
def test_what_is_no_signing_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        SigningKey.parse(text)
    assert caught.value.code == "signing_key_malformed"
    assert text == "" or text not in caught.value.message


@pytest.mark.parametrize(("name", "seed"), [("a b", SEED), ("a+b", SEED), ("", SEED), ("a", b"")])
def test_a_key_needs_a_name_and_32_bytes(name: str, seed: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SigningKey(name, seed)


def cosigned(time_s: int, stated_s: int) -> tuple[Note, VerifierKey]:
    witness = SigningKey("witness.example/w1", SEED[::-1])
    key = VerifierKey(name=witness.name, public=witness.public, kind=COSIGNATURE)
    made = witness.sign(cosigned_text(TEXT, time_s), witness.name)
    line = Signature(name=key.name, key_id=key.id, data=stated_s.to_bytes(8, "big") + made.data)
    return Note(text=TEXT, signatures=(*signed().signatures, line)), key


def test_a_witness_says_when_it_saw_a_checkpoint() -> None:
    one, key = cosigned(1_679_315_147, 1_679_315_147)
    assert cosigned_at(one, [key]) == {"witness.example/w1": 1_679_315_147}
    assert holds(one, KEY.verifier("house.example/log"))


def test_a_witness_that_states_another_time_is_not_believed() -> None:
    one, key = cosigned(1_679_315_147, 1_679_315_148)
    assert cosigned_at(one, [key]) == {}
    short = Note(text=TEXT, signatures=(Signature(name=key.name, key_id=key.id, data=b"x"),))
    assert cosigned_at(short, [key]) == {}
