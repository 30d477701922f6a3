"""Hosts as they stand in requests, in the one form that everything is decided and dialled by.

What two readers could read differently is refused and never mended: a name that ends in a dot, an
address in an odd notation, a zone, user information, anything but ASCII. Sources: RFC 3986 section
3.2.2, RFC 6874, RFC 9110 section 7.2; https://url.spec.whatwg.org/#concept-ipv4-parser for what
clients take for a number.
"""

import ipaddress
import re
from functools import lru_cache
from typing import Final

from ringfence.domain.destination import Authority
from ringfence.domain.error import PeerError
from ringfence.domain.verdict import Code

NAME_CHARACTERS: Final = 253
"""RFC 1035 section 2.3.4, without the dot of the root."""

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_BRACKETED: Final = re.compile(r"\[([0-9A-Fa-f:.]{2,45})\]")
_DOTTED: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_NUMBER: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_PORT_MOST: Final = 65_535


@lru_cache(maxsize=4096)
def read_authority(data: bytes | str) -> Authority:
    """Read `host` or `host:port`. Raises PeerError `request_malformed`."""
    text = _text(data)
    host, port = text, ""
    if text.startswith("["):
        end = text.find("]") + 1
        host, rest = text[:end], text[end:]
        if rest and not rest.startswith(":"):
            raise _malformed("it is not a host and a port")
        port, is_stated = rest[1:], bool(rest)
    else:
        host, colon, port = text.partition(":")
        is_stated = bool(colon)
    found = read_host(host)
    if not is_stated:
        return found
    if not _PORT.fullmatch(port) or not 0 < int(port) <= _PORT_MOST or port.startswith("0"):
        raise _malformed("its port is not a number from 1 to 65535")
    return Authority(found.host, int(port), found.is_address)


def read_host(data: bytes | str) -> Authority:
    """Read a host without a port. Raises PeerError `request_malformed`."""
    text = _text(data)
    if text.startswith("["):
        return Authority(_address6(text), None, is_address=True)
    name = text.lower()
    if len(name) > NAME_CHARACTERS or not _NAME.fullmatch(name):
        raise _malformed("it is not a name that can be resolved")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return Authority(_address4(name), None, is_address=True)
    return Authority(name)


def _text(data: bytes | str) -> str:
    text = data if isinstance(data, str) else data.decode("latin-1")
    if not text or len(text) > NAME_CHARACTERS + 8 or not text.isascii():
        raise _malformed("it is empty, too long or not in ASCII")
    return text


def _address4(text: str) -> str:
    """Four plain decimal numbers and nothing else; `127.1`, `0x7f.1` and `010.0.0.1` are none."""
    if not _DOTTED.fullmatch(text):
        raise _malformed("its address is in an odd notation")
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as error:
        raise _malformed("its address is in an odd notation") from error


def _address6(text: str) -> str:
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed is None:
        raise _malformed("its address is in an odd notation")
    try:
        return str(ipaddress.IPv6Address(bracketed[1]))
    except ValueError as error:
        raise _malformed("its address is in an odd notation") from error


def _malformed(why: str) -> PeerError:
    return PeerError(Code.REQUEST_MALFORMED, f"the host cannot be read with certainty: {why}")
