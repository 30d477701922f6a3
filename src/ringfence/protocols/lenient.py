"""Reads what providers send without trusting its types; what is unexpected counts as absent."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ringfence.domain.error import PeerError

decode: Final = msgspec.json.Decoder().decode
"""Builds any JSON value; raises msgspec.DecodeError."""

_NO_MEMBERS: Final[dict[str, object]] = {}


def record(value: object) -> Mapping[str, object]:
    """An object's members; none of anything else."""
    return value if isinstance(value, dict) else _NO_MEMBERS


def records(value: object) -> Sequence[Mapping[str, object]]:
    """The objects of an array; none of anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else ()


def text(value: object) -> str:
    """A text; empty of anything else."""
    return value if isinstance(value, str) else ""


def texts(*values: object) -> tuple[str, ...]:
    """Those of the values that are texts and not empty."""
    return tuple([value for value in values if value and isinstance(value, str)])


def document(body: bytes) -> Mapping[str, object]:
    """A provider's whole answer. Raises PeerError `provider_malformed` if it is not an object."""
    try:
        value = decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PeerError("provider_malformed", "the provider's answer is not JSON") from error
    if not isinstance(value, dict):
        raise PeerError("provider_malformed", "the provider's answer is not an object")
    return value


def error_name(error: object) -> str:
    """The provider's own word for an error: its type, else its code; empty if there is none."""
    if not error:
        return ""
    stated = record(error)
    return text(stated.get("type")) or text(stated.get("code")) or "error"
