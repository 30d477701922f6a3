"""The words of a command: whole for whoever decides about it, and as much as the record keeps."""

import hashlib
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

CUT_BYTES: Final = 1024
"""How much of each command's words is kept beyond what a sandbox may have kept whole."""


class CommandArguments(msgspec.Struct, frozen=True, kw_only=True):
    """What policies and people see of a command, and the record if it keeps all of it.

    `line` is how a shell would be told it; `path` the file itself.
    """

    path: str
    line: str
    argv: tuple[str, ...]
    directory: str


class Cut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What words were that are not kept as they were: their length and SHA-256, in hexadecimal.

    Both of the words in UTF-8 with a NUL after each, as /proc/PID/cmdline has them; `more` tells
    that there were more than anybody has read.
    """

    bytes: int
    sha256: str
    more: bool = False


class CutArguments(CommandArguments, frozen=True, kw_only=True):
    """What is kept of a command that is not kept whole: the first `CUT_BYTES` of its words."""

    cut: Cut


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(CommandArguments).decode


def arguments_of(path: str, argv: tuple[str, ...], directory: str) -> bytes:
    """The JSON object of a command."""
    line = shlex.join(argv)
    return _encode(CommandArguments(path=path, line=line, argv=argv, directory=directory))


def cut(arguments: bytes, most_bytes: int | None = CUT_BYTES, *, has_more: bool = False) -> bytes:
    """The JSON object that is kept in place of a command's, with what is left out; None cuts none.

    `has_more` is for words that were cut already when they were read.
    """
    whole = _decode(arguments)
    read = b"".join(b"%b\0" % word.encode() for word in whole.argv)
    argv = whole.argv if most_bytes is None else tuple(_beginning(whole.argv, most_bytes))
    mark = Cut(bytes=len(read), sha256=hashlib.sha256(read).hexdigest(), more=has_more)
    line = shlex.join(argv)
    kept = CutArguments(path=whole.path, line=line, argv=argv, directory=whole.directory, cut=mark)
    return _encode(kept)


def _beginning(argv: Sequence[str], most_bytes: int) -> Iterator[str]:
    left = most_bytes
    for word in argv:
        known = word.encode()[:left]
        yield known.decode(errors="ignore")
        left -= len(known)
        if left <= 0:
            return
