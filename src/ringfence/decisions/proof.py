"""Proofs: whom the claims of an issuer's token vouch for, now (RFC 7519 section 4.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ringfence.domain.issuer import Issuer
from ringfence.domain.user import NAME

_SECOND_US = 1_000_000
_LATEST_S = 2**40
"""Far beyond any date that is meant; keeps every time within 64 bits of microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """The user that a token proves, and when it is over (UTC microseconds)."""

    user: str
    ends_us: int


def judge(claims: Mapping[str, object], issuer: Issuer, now_us: int) -> Vouched | str:
    """The user whom `issuer` vouches for, or in words why it does not.

    The claims are signed. A token without an end is refused; `clock_skew_s` is forgiven both ways.
    """
    why = _misdirected(claims, issuer) or _untimely(claims, issuer.clock_skew_s, now_us)
    if why:
        return why
    user, ends_s = claims.get(issuer.user_claim), _time(claims, "exp")
    if not isinstance(user, str) or ends_s is None or not NAME.fullmatch(user):
        return f"the token's `{issuer.user_claim}` names no user"
    if issuer.user_claim == "email" and claims.get("email_verified", True) is not True:
        return "the user's e-mail address is not verified"
    if not any(fnmatchcase(user, pattern) for pattern in issuer.users):
        return "its issuer may not vouch for this user"
    return Vouched(user=user, ends_us=(ends_s + issuer.clock_skew_s) * _SECOND_US)


def _misdirected(claims: Mapping[str, object], issuer: Issuer) -> str:
    if claims.get("iss") != issuer.issuer:
        return "the token is of another issuer"
    audience = claims.get("aud")
    if issuer.audience not in (audience if isinstance(audience, list) else [audience]):
        return "the token is meant for another audience"
    return ""


def _untimely(claims: Mapping[str, object], skew_s: int, now_us: int) -> str:
    times = {name: _time(claims, name) for name in ("exp", "nbf", "iat")}
    ends_s = times["exp"]
    if ends_s is None or any(name in claims and times[name] is None for name in times):
        return "the token does not say when it ends, or says its times in an unknown form"
    if now_us >= (ends_s + skew_s) * _SECOND_US:
        return "the token has expired"
    begins = [each for each in (times["nbf"], times["iat"]) if each is not None]
    if any(now_us < (each - skew_s) * _SECOND_US for each in begins):
        return "the token is not valid yet"
    return ""


def _time(claims: Mapping[str, object], name: str) -> int | None:
    """A NumericDate in whole seconds, rounded down."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= _LATEST_S else None
