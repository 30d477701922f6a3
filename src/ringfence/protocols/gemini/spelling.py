"""The two spellings that Gemini takes for each field: `maxOutputTokens`, `max_output_tokens`.

Source: https://protobuf.dev/programming-guides/json (parsers accept both names). google-genai 3.4.0
mixes them within one body (recorded 2026-11-21).
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, TypeVar

from ringfence.protocols import strict_json

_T = TypeVar("_T")

_SNAKE: Final = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+\Z")


def by_camel_case(members: Mapping[str, _T]) -> Mapping[str, _T]:
    """The same members under their camelCase names.

    Raises PeerError `request_malformed` if one field is given in both spellings: which of the two
    the provider would believe is not known.
    """
    if not any("_" in name for name in members):
        return members
    named: dict[str, _T] = {}
    for name, value in members.items():
        camel = _camel(name)
        if camel in named:
            strict_json.refuse(f"the field {strict_json.quote(camel)} is given in two spellings")
        named[camel] = value
    return named


@lru_cache(maxsize=512)
def _camel(name: str) -> str:
    if not _SNAKE.match(name):
        return name
    first, *others = name.split("_")
    return first + "".join(part[0].upper() + part[1:] for part in others)
