"""The forms that a secret takes in text when somebody repeats it in a usual encoding."""

import html
import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Final

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_MASK: Final = b"*"


def base64_cores(secret: bytes) -> tuple[bytes, bytes, bytes]:
    """What base64 makes of a secret at each of the three places it may have in what is encoded.

    Only characters that the secret alone decides; those at either end depend on its neighbours too.
    """
    first, second, third = (
        b64encode(bytes(at) + secret)[-(-at * 8 // 6) : (at + len(secret)) * 8 // 6]
        for at in range(3)
    )
    return first, second, third


def forms(secret: bytes, stand_in: bytes = b"") -> dict[bytes, bytes]:
    r"""Each form of a secret, and as many bytes to put in its place.

    Plain, base64 and base64url at every place, hexadecimal in both cases, UTF-16 in both orders
    and in base64, and each of the plain and base64 ones as
    JSON and HTML escape them. In the place of a form
    stands the same form of `stand_in`, if that is as long, else asterisks. Escapes by number
    (`%41`, `\u0041`) are for whoever searches: any character may be written so.
    """
    found: dict[bytes, bytes] = {}
    others = list(_encoded(stand_in)) if len(stand_in) == len(secret) else []
    for at, form in enumerate(_encoded(secret)):
        alike = list(_escaped(others[at])) if others else []
        for way, escaped in enumerate(_escaped(form)):
            fits = bool(alike) and len(alike[way]) == len(escaped)
            found.setdefault(escaped, alike[way] if fits else _MASK * len(escaped))
    text = secret.decode("latin-1")
    little = text.encode("utf-16-le")
    for wide in (little, text.encode("utf-16-be"), *base64_cores(little)):
        found.setdefault(wide, _MASK * len(wide))
    return found


def _encoded(secret: bytes) -> Iterator[bytes]:
    """Always as many, in the same order."""
    yield secret
    for core in base64_cores(secret):
        yield core
        yield core.translate(_URL_SAFE)
    yield secret.hex().encode()
    yield secret.hex().upper().encode()


def _escaped(form: bytes) -> Iterator[bytes]:
    """Always as many, in the same order; often all the same."""
    text = form.decode("latin-1")
    in_json = json.dumps(text, ensure_ascii=False)[1:-1]
    yield form
    yield in_json.encode("latin-1")
    yield in_json.replace("/", "\\/").encode("latin-1")
    yield html.escape(text).encode("latin-1")
    yield html.escape(text).replace("&#x27;", "&#39;").encode("latin-1")
    yield text.replace(" ", "+").encode("latin-1")
