"""Signed tokens of an issuer (RFC 7515, 7517, 7519): what they say, once their signature is right.

A token is read strictly: one reading only (I8), the algorithm is one that the operator
named, and a key comes from the issuer's set alone, never from the token.

`joserfc` takes 80 ms to import, so that is done where the first key or token is met: most
installations have no issuer, and no command should wait for it.
"""

import binascii
import re
from base64 import urlsafe_b64decode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, final

from ringfence.domain.error import PeerError
from ringfence.domain.issuer import SignatureAlgorithm
from ringfence.protocols import strict_json

LONGEST_BYTES: Final = 8_192
"""What still passes as a header of a request."""
MOST_KEYS: Final = 50

_PARTS: Final = 3
_BASE64: Final = re.compile(rb"[A-Za-z0-9_-]+")
_RSA_BITS: Final = 2_048
"""Source: RFC 7518 section 3.3, the least that may be used."""
_KEY_TYPES: Final = frozenset({"RSA", "EC", "OKP"})
_TYPE_OF: Final = {"R": "RSA", "P": "RSA", "E": "EC"}
_WRONG: Final = "the token is not signed by its issuer"


@final
@dataclass(frozen=True, slots=True)
class Key:
    """One public key of an issuer; `public` is a key of `joserfc`."""

    kid: str
    kty: str
    alg: str
    public: Any


Keys = Sequence[Key]


def read_keys(data: bytes) -> Keys:
    """The public signing keys of a JSON Web Key Set; what is of another kind is passed over.

    Raises PeerError `keys_malformed` if it is no key set, holds a secret, or has no usable key.
    """
    try:
        given = strict_json.parse(data)
    except PeerError as error:
        raise _malformed(error.message) from error
    listed = given.get("keys") if isinstance(given, dict) else None
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise _malformed(f"it must have `keys`, a list of at most {MOST_KEYS}")
    keys = [key for each in listed if (key := _read_key(each)) is not None]
    if not keys:
        raise _malformed("it has no public key that can prove a signature")
    return keys


def _read_key(given: object) -> Key | None:
    if not isinstance(given, dict):
        raise _malformed("each of `keys` must be an object")
    if "d" in given or given.get("kty") == "oct":
        raise _malformed("it holds a private or shared key; public keys alone belong here")
    kty = given.get("kty")
    if not isinstance(kty, str) or kty not in _KEY_TYPES or given.get("use", "sig") != "sig":
        return None
    from joserfc.errors import JoseError  # noqa: PLC0415 (see the module)
    from joserfc.jwk import JWKRegistry, RSAKey  # noqa: PLC0415 (see the module)

    try:
        public = JWKRegistry.import_key(given)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if isinstance(public, RSAKey) and public.raw_value.key_size < _RSA_BITS:
        return None
    kid, alg = str(given.get("kid", "")), str(given.get("alg", ""))
    return Key(kid=kid, kty=kty, alg=alg, public=public)


def issuer_of(token: bytes) -> str:
    """Who a token says that it comes from; nothing is proven by that.

    Raises PeerError `token_malformed`.
    """
    issuer = _claims(_split(token)[1]).get("iss")
    if not isinstance(issuer, str):
        _refuse("the token names no issuer (`iss`)")
    return issuer


def key_of(token: bytes) -> str:
    """The id of the key that a token says it is signed with; empty if it says none."""
    return str(_header(_split(token)[0]).get("kid", ""))


def verify(
    token: bytes, keys: Keys, algorithms: Collection[SignatureAlgorithm]
) -> Mapping[str, object]:
    """The claims of a token that one of the keys has signed.

    Raises PeerError `token_malformed`; no error repeats any part of the token.
    """
    head, payload = _split(token)
    header = _header(head)
    algorithm = header.get("alg")
    if algorithm not in [each.value for each in algorithms]:
        _refuse("the token is signed with an algorithm that is not accepted from its issuer")
    if not isinstance(header.get("kid"), str | None):
        _refuse("the token's `kid` is not a text")
    if "crit" in header or "b64" in header:
        _refuse("the token uses extensions that are not supported")
    named, name = header.get("kid"), str(algorithm)
    kty = "OKP" if name.startswith("Ed") else _TYPE_OF[name[:1]]
    fitting = [
        each
        for each in keys
        if each.kty == kty and each.alg in {"", name} and named in {None, each.kid}
    ]
    if not any(_is_signed(token, each, name) for each in fitting):
        _refuse(_WRONG)
    return _claims(payload)


def _is_signed(token: bytes, key: Key, algorithm: str) -> bool:
    from joserfc.errors import JoseError  # noqa: PLC0415 (see the module)
    from joserfc.jws import JWSRegistry  # noqa: PLC0415 (see the module)

    said, _, signature = token.rpartition(b".")
    try:
        return JWSRegistry.algorithms[algorithm].verify(said, _decoded(signature), key.public)
    except (JoseError, ValueError, TypeError):
        return False


def _split(token: bytes) -> tuple[bytes, bytes]:
    parts = token.split(b".")
    if len(token) > LONGEST_BYTES or len(parts) != _PARTS or not all(parts):
        _refuse("it is neither a user token of Ringfence nor a signed token of three parts")
    return parts[0], parts[1]


def _header(part: bytes) -> Mapping[str, object]:
    return _object(part, "header")


def _claims(part: bytes) -> Mapping[str, object]:
    return _object(part, "payload")


def _object(part: bytes, name: str) -> Mapping[str, object]:
    try:
        given = strict_json.parse(_decoded(part))
    except (PeerError, ValueError, binascii.Error) as error:
        raise PeerError("token_malformed", f"the token's {name} is not readable") from error
    if not isinstance(given, dict):
        _refuse(f"the token's {name} is not an object")
    return given


def _decoded(part: bytes) -> bytes:
    """Base64 of RFC 7515 section 2: the alphabet for URLs, without padding, and nothing else."""
    if not _BASE64.fullmatch(part):
        raise ValueError("not base64")
    return urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def _refuse(message: str) -> NoReturn:
    raise PeerError("token_malformed", message)


def _malformed(message: str) -> PeerError:
    return PeerError("keys_malformed", message)
