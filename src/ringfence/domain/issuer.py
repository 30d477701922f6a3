"""The words of issuers: who vouches for users with signed tokens."""

from dataclasses import dataclass
from enum import StrEnum


class SignatureAlgorithm(StrEnum):
    """How a token may be signed, always asymmetric (RFC 7518 section 3.1, RFC 8037, RFC 9864)."""

    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"
    ES256 = "ES256"
    ES384 = "ES384"
    ES512 = "ES512"
    EDDSA = "EdDSA"
    ED25519 = "Ed25519"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Somebody whose JSON Web Tokens prove users.

    `issuer` and `audience` are what `iss` and `aud` must say. The keys are `keys` (the text of a
    JSON Web Key Set, read from a file) or what `keys_url` answers. `user_claim` names the user;
    `users` are patterns (`*` for any characters) of the users that this issuer may vouch for.
    """

    name: str
    issuer: str
    audience: str
    keys: str = ""
    keys_url: str = ""
    algorithms: tuple[SignatureAlgorithm, ...] = (
        SignatureAlgorithm.RS256,
        SignatureAlgorithm.ES256,
    )
    user_claim: str = "sub"
    users: tuple[str, ...] = ("*",)
    clock_skew_s: int = 30
