"""The words of a stored piece, for the search: what stands in JSON texts and in streams."""

from collections.abc import Iterator
from typing import Final

import msgspec

_SEPARATORS: Final = b", \t\r\n"
_DATA: Final = b"data:"


def text_of(piece: bytes) -> str:
    """All text of a piece, one after another; of what is no JSON, the bytes as they are.

    The pieces that a stream sends of one text are put together again, so that a word that was
    split between two events is found.
    """
    if piece.lstrip().startswith((_DATA, b"event:", b":")):
        return _text_of_stream(piece)
    try:
        value: object = msgspec.json.decode(piece.strip(_SEPARATORS))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return piece.decode("utf-8", errors="replace")
    return "\n".join(text for _, text in _texts("", value))


def _text_of_stream(piece: bytes) -> str:
    by_name: dict[str, list[str]] = {}
    for line in piece.splitlines():
        if line.startswith(_DATA):
            try:
                value: object = msgspec.json.decode(line[len(_DATA) :])
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            for name, text in _texts("", value):
                by_name.setdefault(name, []).append(text)
    return "\n".join("".join(texts) for texts in by_name.values())


def _texts(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Every text in a value with the name of the field it stands in."""
    match value:
        case str():
            yield name, value
        case dict():
            for key, item in value.items():
                yield from _texts(str(key), item)
        case list():
            for item in value:
                yield from _texts(name, item)
        case _:
            return
