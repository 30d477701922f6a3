"""A token counts only if its issuer's key has signed exactly what is read from it."""

import base64
from collections.abc import Callable, Collection

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import OctKey
from tests.signing import AnyKey, claims, key, key_set, token

from ringfence.domain.error import PeerError
from ringfence.domain.issuer import SignatureAlgorithm
from ringfence.protocols import jwt

ES256 = (SignatureAlgorithm.ES256,)
SAID = claims(0)


def part(document: object) -> bytes:
    return base64.urlsafe_b64encode(msgspec.json.encode(document)).rstrip(b"=")


def keys(*of: AnyKey) -> jwt.Keys:
    return jwt.read_keys(key_set(*(of or (key(),))))


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(PeerError) as caught:
        call()
    return caught.value.message


def unproven(made: bytes, algorithms: Collection[SignatureAlgorithm] = ES256) -> str:
    return refused(lambda: jwt.verify(made, keys(), algorithms))


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("RSA", "RS256"), ("RSA", "PS384"), ("EC", "ES256"), ("OKP", "EdDSA"), ("OKP", "Ed25519")],
)
def test_a_token_that_its_issuer_signed_says_what_it_says(kind: str, algorithm: str) -> None:
    signer = key(kind)
    made = token(SAID, signer, algorithm)
    assert jwt.verify(made, keys(signer), (SignatureAlgorithm(algorithm),)) == SAID
    assert jwt.issuer_of(made) == SAID["iss"]
    assert jwt.key_of(made) == "one"


def test_another_key_proves_nothing() -> None:
    other = key("EC", "two")
    for made in (token(SAID, other), token(SAID, other, kid="one"), token(SAID, other, kid=None)):
        assert "not signed" in unproven(made)


def test_without_a_key_id_each_key_of_the_kind_is_tried() -> None:
    made = token(SAID, kid=None)
    assert jwt.verify(made, keys(key("RSA"), key("EC", "two"), key()), ES256) == SAID


def test_only_algorithms_that_were_named_are_tried() -> None:
    made = token(SAID, key("RSA"), "RS512")
    message = refused(lambda: jwt.verify(made, keys(key("RSA")), (SignatureAlgorithm.RS256,)))
    assert "algorithm" in message


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "", None, 1])
def test_no_token_can_choose_to_be_unsigned_or_signed_with_a_public_key(algorithm: object) -> None:
    head, payload = part({"alg": algorithm, "kid": "one"}), part(SAID)
    for signature in (b"AAAA", b""):
        made = b".".join((head, payload, signature))
        assert unproven(made, tuple(SignatureAlgorithm))


def test_a_public_key_is_no_shared_secret() -> None:
    """The classic confusion: HS256 with the issuer's public key as the secret."""
    secret = OctKey.import_key(key_set(key()))
    made = token(SAID, secret, "HS256", kid="one")
    assert "algorithm" in unproven(made, tuple(SignatureAlgorithm))


def test_a_key_for_one_algorithm_is_not_used_for_another() -> None:
    listed = key("RSA").as_dict(private=False) | {"alg": "RS512"}
    known = jwt.read_keys(msgspec.json.encode({"keys": [listed]}))
    made = token(SAID, key("RSA"), "RS256")
    assert refused(lambda: jwt.verify(made, known, (SignatureAlgorithm.RS256,)))


def test_extensions_that_change_the_meaning_are_refused() -> None:
    for header in ({"crit": ["exp"], "exp": 1}, {"b64": True, "crit": ["b64"]}):
        head = part({"alg": "ES256", "kid": "one"} | header)
        made = b".".join((head, part(SAID), b"AAAA"))
        assert "extensions" in unproven(made)


@pytest.mark.parametrize("kid", [{"one": 1}, ["one"], 1])
def test_a_key_id_that_is_no_text_is_refused(kid: object) -> None:
    assert "kid" in unproven(token(SAID, kid=kid))


def test_a_claim_that_two_readers_could_read_differently_is_refused() -> None:
    made = token(b'{"iss":"a","sub":"ann","sub":"bob"}')
    assert "payload" in unproven(made)
    assert "payload" in refused(lambda: jwt.issuer_of(made))


@pytest.mark.parametrize(
    "made",
    [
        b"",
        b"boss@acme.example",
        b"a.b",
        b"a.b.c.d",
        b"..",
        b"a.b.",
        b"!!.??.!!",
        part([]) + b"." + part([]) + b".AAAA",
        b"x" * 9000,
    ],
)
def test_what_is_no_token_is_refused_without_being_repeated(made: bytes) -> None:
    messages = [
        refused(lambda: jwt.issuer_of(made)),
        refused(lambda: jwt.key_of(made)),
        unproven(made),
    ]
    assert not made or all(made.decode() not in message for message in messages)


def test_a_token_without_an_issuer_is_nobodys() -> None:
    assert "iss" in refused(lambda: jwt.issuer_of(token({"sub": "ann"})))


@settings(max_examples=60)
@given(data=st.data())
def test_a_changed_byte_is_never_accepted(data: st.DataObject) -> None:
    made = bytearray(token(SAID))
    at = data.draw(st.integers(0, len(made) - 1))
    change = data.draw(st.sampled_from(b"ABCxyz019-_."))
    if made[at] == change:
        return
    before = bytes(made)
    made[at] = change
    try:
        found = jwt.verify(bytes(made), keys(), ES256)
    except PeerError:
        return
    # Base64 has spare bits in the last character of a part: the bytes that it means are the same.
    assert found == SAID
    assert _meant(bytes(made)) == _meant(before)


def _meant(made: bytes) -> list[bytes]:
    return [base64.urlsafe_b64decode(each + b"==") for each in made.split(b".")]


@pytest.mark.parametrize(
    "given_keys",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [1]}',
        b'{"keys": [{"kty": "EC"}]}',
        b'{"keys": [], "keys": []}',
        b'{"keys": [{"kty": ["RSA"]}]}',
        b'{"keys": [{"kty": "oct", "k": "AAAA"}]}',
        msgspec.json.encode({"keys": [{}] * 51}),
    ],
)
def test_what_is_no_set_of_public_keys_is_refused(given_keys: bytes) -> None:
    assert refused(lambda: jwt.read_keys(given_keys))


def test_a_private_key_does_not_belong_there() -> None:
    listed = msgspec.json.encode({"keys": [key().as_dict(private=True)]})
    message = refused(lambda: jwt.read_keys(listed))
    assert "private" in message


def test_keys_for_other_uses_are_passed_over() -> None:
    mine = key().as_dict(private=False)
    other = key("RSA").as_dict(private=False) | {"use": "enc"}
    weird = {"kty": "new-thing"}
    listed = msgspec.json.encode({"keys": [other, weird, mine | {"use": "sig"}]})
    assert [each.kid for each in jwt.read_keys(listed)] == ["one"]
