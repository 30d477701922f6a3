"""Addresses: URLs of upstreams, and patterns of hosts and commands."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from ringfence.config.problem import CREDENTIAL_WORD
from ringfence.config.section import Section
from ringfence.domain.host import is_private

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?")
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")
_COMMAND = re.compile(r"/?[A-Za-z0-9._+*?-]{1,64}(?:/[A-Za-z0-9._+*?-]{1,64})*")
_URL_CHARACTERS = re.compile(r"[!-~]+")


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
    items = section.distinct(key)
    for item in items:
        if not _is_host(item.value):
            what = f"a host pattern in {section.where} is not valid"
            help_ = "write a name without scheme or path, like api.example.com or *.example.com"
            section.problem(item.place, what, help_)
    return tuple(item.value for item in items)


def _is_host(text: str) -> bool:
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed is None:
        return len(text) <= 253 and _HOST.fullmatch(text) is not None  # noqa: PLR2004 (RFC 1035)
    try:
        ipaddress.IPv6Address(bracketed[1])
    except ValueError:
        return False
    return True


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
    items = section.distinct(key)
    for item in items:
        is_path = "/" in item.value
        if not _COMMAND.fullmatch(item.value) or (is_path and not item.value.startswith("/")):
            what = f"a command in {section.where} is not valid"
            help_ = "write a program's name or absolute path, without arguments; `*` for any"
            section.problem(item.place, what, help_)
    return tuple(item.value for item in items)
