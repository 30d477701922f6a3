"""Addresses: URLs of upstreams, and patterns of hosts and commands."""

import ipaddress
import re
from collections.abc import Callable, Iterator
from urllib.parse import SplitResult, urlsplit

from ringfence.config.problem import CREDENTIAL_WORD, shown
from ringfence.config.section import Section
from ringfence.domain.host import is_private

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*(?::([0-9]{{1,5}}))?")
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?")
_COMMAND = re.compile(r"/?[A-Za-z0-9._+*?-]{1,64}(?:/[A-Za-z0-9._+*?-]{1,64})*")
_URL_CHARACTERS = re.compile(r"[!-~]+")
_HIGHEST_PORT = 65535
_HOST_HELP = "write a name without scheme or path, like api.example.com or *.example.com"
_COMMAND_HELP = "write a program's name or absolute path, without arguments; `*` for any"


def read_url(section: Section, key: str, *, query: bool = False) -> str:
    """Read an http or https URL without credentials or fragment, without its last slash."""
    item = section.item(key)
    if item is None:
        return ""
    what, help_ = _judge(item.value, query=query)
    if what:
        section.problem(item.place, f"`{key}` in {section.where} {what}", help_)
        return ""
    return item.value.rstrip("/")


def _judge(url: str, *, query: bool) -> tuple[str, str]:
    parts = _split(url)
    if parts is None or not parts.hostname or parts.scheme not in {"http", "https"}:
        return "is not an http or https URL", "write it like https://api.example.com/v1"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or password", 'use `credential: "${NAME}"`'
    if "#" in url:
        return "has a fragment", "leave out `#` and what follows"
    if "?" in url and not query:
        return "has a query", "write fixed parameters under `query`"
    if any(CREDENTIAL_WORD.search(pair.split("=")[0]) for pair in parts.query.split("&")):
        return "holds a credential in its query", 'use `credential: "${NAME}"`'
    return "", ""


def _split(url: str) -> SplitResult | None:
    if not _URL_CHARACTERS.fullmatch(url) or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return parts if port != 0 else None


def is_exposed(url: str) -> bool:
    """Whether a URL sends in clear text to a host that does not look private."""
    parts = _split(url)
    if parts is None or parts.scheme != "http" or not parts.hostname:
        return False
    return not is_private(parts.hostname)


def read_hosts(section: Section, key: str) -> tuple[str, ...]:
    """Read patterns of hosts: a name, `*.` and a domain, or an IP address, each with a port."""
    return tuple(_judged(section, key, "host pattern", _is_host, _HOST_HELP))


def _judged(
    section: Section, key: str, kind: str, fits: Callable[[str], bool], help_: str
) -> Iterator[str]:
    """Those of a list that can be used; the others are noted."""
    for item in section.distinct(key):
        if fits(item.value):
            yield item.value
        else:
            what = f"{shown(item.written)} in `{key}` of {section.where} is no {kind}"
            section.problem(item.place, what, help_)


def _is_host(text: str) -> bool:
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed is None:
        plain = _HOST.fullmatch(text)
        return plain is not None and len(text) <= 253 and _is_port(plain[1])  # noqa: PLR2004 (RFC 1035)
    try:
        ipaddress.IPv6Address(bracketed[1])
    except ValueError:
        return False
    return _is_port(bracketed[2])


def _is_port(text: str | None) -> bool:
    return text is None or 0 < int(text) <= _HIGHEST_PORT


def is_exact_host(text: str) -> bool:
    """Whether a text is one host's name or IPv4 address in lower case: no pattern, no port."""
    return (
        text == text.lower()
        and not text.startswith("*")
        and ":" not in text
        and not text.endswith(".")
        and _is_host(text)
    )


def read_commands(section: Section, key: str) -> tuple[str, ...]:
    """Read patterns of names or of absolute paths of programs, without arguments."""
    return tuple(_judged(section, key, "command", _is_command, _COMMAND_HELP))


def _is_command(text: str) -> bool:
    is_placed = text.startswith("/") or "/" not in text
    return is_placed and _COMMAND.fullmatch(text) is not None
