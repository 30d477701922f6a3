"""Real keys and tokens of an issuer, made by the test that uses them."""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

ISSUER = "https://login.acme.example"
AUDIENCE = "ringfence"
SECOND_US = 1_000_000

AnyKey = RSAKey | ECKey | OKPKey | OctKey


@cache
def key(kind: str = "EC", kid: str = "one") -> RSAKey | ECKey | OKPKey:
    """A private key; the same for the same name."""
    parameters: Any = {"kid": kid}
    match kind:
        case "RSA":
            return RSAKey.generate_key(2048, parameters)
        case "EC":
            return ECKey.generate_key("P-256", parameters)
        case _:
            return OKPKey.generate_key("Ed25519", parameters)


def key_set(*keys: AnyKey) -> bytes:
    """The public halves as a JSON Web Key Set."""
    return msgspec.json.encode({"keys": [each.as_dict(private=False) for each in keys]})


def claims(now_us: int, **changes: object) -> dict[str, object]:
    """What a good token says at that time; a change to None leaves a claim out."""
    now_s = now_us // SECOND_US
    plain = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann@acme.example", "exp": now_s + 300}
    return {name: value for name, value in (plain | changes).items() if value is not None}


def token(
    said: Mapping[str, object] | bytes,
    by: AnyKey | None = None,
    algorithm: str = "ES256",
    **header: object,
) -> bytes:
    """Signed claims; raw bytes are signed as they are."""
    signer = by or key()
    head: Any = {"alg": algorithm, "kid": signer.kid} | header
    payload = said if isinstance(said, bytes) else msgspec.json.encode(said)
    said_part = _part(msgspec.json.encode({n: v for n, v in head.items() if v is not None}))
    signed = said_part + b"." + _part(payload)
    signature = jws.JWSRegistry.algorithms[algorithm].sign(signed, signer)
    return signed + b"." + _part(signature)


def _part(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
