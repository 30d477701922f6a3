"""Undoes content codings of a body as it arrives (RFC 9110 section 8.4.1)."""

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, final

from ringfence.domain.error import PeerError

_PIECE_BYTES: Final = 256 * 1024
_FREE_BYTES: Final = 1024 * 1024
_MOST_TIMES: Final = 100
"""A body that grows more than this is made to fill somebody's memory: text shrinks ten times."""
_GZIP: Final = 16 + zlib.MAX_WBITS


def can_undo(coding: bytes) -> bool:
    """Whether a `Content-Encoding` is one coding that can be undone here, or none."""
    return _named(coding) in _CODINGS


def is_identity(coding: bytes) -> bool:
    """Whether a `Content-Encoding` changes nothing."""
    return _named(coding) == b"identity"


@final
class Undoing:
    """One body. Raises PeerError `answer_encoded` for what is damaged, cut or grows too much."""

    def __init__(self, coding: bytes) -> None:
        """Take the value of `Content-Encoding`. Raises PeerError `answer_encoded`."""
        name = _named(coding)
        if name not in _CODINGS:
            # Nothing of the header is repeated but a well-known name: a secret may stand there.
            shown = f"`{name.decode()}`" if name in _OTHERS else "a coding that is not known"
            raise _unreadable(f"it comes in {shown}, which was not asked for")
        self._begin = _CODINGS[name]
        self._inflater: Any = None
        self._seen_bytes = 0
        self._made_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """What these bytes mean."""
        if self._begin is None:
            return data
        self._seen_bytes += len(data)
        parts: list[bytes] = []
        try:
            while data:
                if self._inflater is None or self._inflater.eof:  # gzip and zstd may follow on
                    self._inflater = self._begin(data)
                piece, data = _step(self._inflater, data)
                parts.append(piece)
                self._count(len(piece))
        except (zlib.error, _zstd_error()):
            raise _unreadable("it is damaged") from None
        return b"".join(parts)

    def finish(self) -> None:
        """The body has ended."""
        if self._inflater is not None and not self._inflater.eof:
            raise _unreadable("it is cut short")

    def _count(self, made_bytes: int) -> None:
        self._made_bytes += made_bytes
        if self._made_bytes > _FREE_BYTES + _MOST_TIMES * self._seen_bytes:
            raise _unreadable("it grows without end")


def _step(inflater: Any, data: bytes) -> tuple[bytes, bytes]:  # noqa: ANN401 (two of a kind)
    """One bounded piece, and what is left to be read; zstd keeps that by itself."""
    piece: bytes = inflater.decompress(data, _PIECE_BYTES)
    if inflater.eof:
        return piece, inflater.unused_data
    if hasattr(inflater, "unconsumed_tail"):
        return piece, inflater.unconsumed_tail
    parts = [piece]
    while not inflater.needs_input and not inflater.eof:
        parts.append(inflater.decompress(b"", _PIECE_BYTES))
        if sum(map(len, parts)) > _FREE_BYTES + _MOST_TIMES * len(data):
            raise _unreadable("it grows without end")
    return b"".join(parts), inflater.unused_data if inflater.eof else b""


def _gzip(_: bytes) -> Any:  # noqa: ANN401 (zlib does not name its type)
    return zlib.decompressobj(_GZIP)


def _deflate(data: bytes) -> Any:  # noqa: ANN401 (likewise)
    """The zlib format, as the standard says, or a bare stream, as some servers send."""
    is_zlib = data[0] & 0x0F == zlib.DEFLATED and (len(data) < 2 or not _header(data) % 31)  # noqa: PLR2004 (RFC 1950)
    return zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)


def _header(data: bytes) -> int:
    return int.from_bytes(data[:2], "big")


def _zstd(_: bytes) -> Any:  # noqa: ANN401 (a module that is not everywhere the same)
    return _zstd_module().ZstdDecompressor()


def _zstd_module() -> Any:  # noqa: ANN401 (a module)
    try:
        return import_module("compression.zstd")
    except ModuleNotFoundError:
        return import_module("backports.zstd")


def _zstd_error() -> type[Exception]:
    kind: type[Exception] = _zstd_module().ZstdError
    return kind


_CODINGS: Final[dict[bytes, Callable[[bytes], Any] | None]] = {
    b"identity": None,
    b"gzip": _gzip,
    b"x-gzip": _gzip,
    b"deflate": _deflate,
    b"zstd": _zstd,
}


_OTHERS: Final = frozenset(
    {b"br", b"compress", b"x-compress", b"dcb", b"dcz", b"exi", b"aes128gcm"}
)
"""What the registry of HTTP knows beside those."""


def _named(coding: bytes) -> bytes:
    """None stated means none used."""
    return coding.strip().lower() or b"identity"


def _unreadable(why: str) -> PeerError:
    return PeerError("answer_encoded", f"the answer cannot be read for secrets: {why}")
