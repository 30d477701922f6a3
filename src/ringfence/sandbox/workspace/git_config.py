"""What in a git configuration makes git run something, or fetch from somewhere else than it says.

Source: git-config(1). Read leniently: what only looks like such a setting counts as one.
"""

import hashlib
import re
from typing import Final

_SPACE: Final = b" \t\r"
_BOM: Final = b"\xef\xbb\xbf"
_SECTION: Final = re.compile(
    rb'\[[ \t\r]*([A-Za-z0-9.-]+)(?:[ \t\r]+"((?:[^"\\\n]|\\.)*)")?[ \t\r]*\]'
)
_KEY: Final = re.compile(rb"([A-Za-z][A-Za-z0-9-]*)[ \t\r]*(=)?")
_SECTION_CHARACTERS: Final = 256
"""A longer name of a section is told by its beginning and its hash: it stands before each setting
of the section, and thousands of these make gigabytes of one file."""
_ESCAPED: Final = {b"n": b"\n", b"t": b"\t", b"b": b"\b"}

_RUNNING: Final = re.compile(
    r"core\.(fsmonitor|hookspath|sshcommand|pager|editor|askpass|gitproxy|alternaterefscommand)"
    r"|(sequence|gui)\.editor|alias\..*|(.*\.)?pager(\..*)?|credential(\..*)?\.helper"
    r"|filter\..*\.(clean|smudge|process)|diff\.external|diff\..*\.(command|textconv)"
    r"|(merge|difftool|mergetool|man|browser|guitool)\..*\.(driver|cmd|path)"
    r"|gpg(\..*)?\.(program|defaultkeycommand)|include(if\..*)?\.path|url\..*\.(push)?insteadof"
    r"|remote\..*\.(uploadpack|receivepack|vcs|proxy)|uploadpack\.packobjectshook"
    r"|interactive\.difffilter|init\.templatedir|protocol(\..*)?\.allow|submodule\..*\.update"
    r"|sendemail\..*|web\.browser|extensions\.worktreeconfig"
    r"|http(\..*)?\.(proxy\w*|ssl\w*|curloptresolve|cookiefile|savecookies)"
    r"|trailer\..*\.(command|cmd)|receive\.procreceiverefs|core\.worktree|hook\..*\.command"
    r"|tar\..*\.command|gc\.recentobjectshook|imap\.tunnel|gitflow\.path\.hooks"
    r"|instaweb\.(httpd|browser|modulepath)|gitcvs\.dbdriver"
    r"|tig\.bind.*|svn\.authorsprog"
    r"|lfs\.(customtransfer|extension)\..*|lfs\.standalonetransferagent"
)
_TOOL: Final = re.compile(r"(diff|merge)\.(gui)?tool|(help|web)\.browser|man\.viewer|pull\.\w+")
"""Names of programs that git comes with; with a slash in them, of others."""
_REMOTE: Final = re.compile(r"remote\..*\.(push)?url|submodule\..*\.url|fetch\.bundleuri")
_NAMED: Final = re.compile(r"branch\..*\.(push)?remote|remote\.pushdefault|checkout\.\w*remote")
"""What names a remote, or is the address of one."""
_HELPERS: Final = ("ext::", "fd::", "!")


def settings(content: bytes) -> list[tuple[str, str]]:
    """Every setting as its full name in lower case and its value, in order.

    Continued lines, comments and quotes are told apart as git itself does (its `config.c`): a
    backslash continues a value, and nothing else. What git refuses is skipped to the line's end.
    """
    text = content.removeprefix(_BOM).replace(b"\r\n", b"\n") + b"\n"
    found: list[tuple[str, str]] = []
    section, at = "", 0
    while at < len(text):
        if text[at] in _SPACE + b"\n":
            at += 1
        elif heading := _SECTION.match(text, at):
            section, at = _named(heading), heading.end()
        elif key := _KEY.match(text, at):
            value, at = _value(text, key.end()) if key[2] else (b"", key.end())
            name = f"{section}.{key[1].decode().lower()}"
            found.append((name, value.decode("utf-8", "replace")))
        else:
            at = text.index(b"\n", at)
    return found


def _named(heading: re.Match[bytes]) -> str:
    name, sub = heading[1].decode().lower(), heading[2]
    whole = name if sub is None else f"{name}.{sub.decode('utf-8', 'replace')}"
    if len(whole) <= _SECTION_CHARACTERS:
        return whole
    told = hashlib.sha256(whole.encode()).hexdigest()[:16]
    return f"{whole[:_SECTION_CHARACTERS]}-{told}"


def _value(text: bytes, at: int) -> tuple[bytes, int]:
    """The value that begins here, and where the line after it does; `text` ends with one."""
    value, is_quoted, is_comment = bytearray(), False, False
    while (char := text[at : at + 1]) != b"\n":
        at += 1
        if is_comment:
            continue
        if char == b"\\":
            after = text[at : at + 1]
            at += 1
            value += b"" if after == b"\n" else _ESCAPED.get(after, after)
            if at >= len(text):  # the last line's own end was taken for a continued one
                return bytes(value).strip(), at
        elif char == b'"':
            is_quoted = not is_quoted
        elif char in b"#;" and not is_quoted:
            is_comment = True
        else:
            value += char
    return bytes(value).strip(), at + 1


def commands(content: bytes) -> frozenset[str]:
    """The settings by which git would run something or reach elsewhere, each with its value."""
    return frozenset(f"{name}={value}" for name, value in settings(content) if _runs(name, value))


def redirected(before: bytes, content: bytes) -> frozenset[str]:
    """The addresses of remotes that were others before."""
    old = {name: value for name, value in settings(before) if _REMOTE.fullmatch(name.lower())}
    return frozenset(
        f"{name}={value}" for name, value in settings(content) if old.get(name, value) != value
    )


def hooks_paths(content: bytes) -> tuple[str, ...]:
    """Where hooks are, if the configuration says so; git takes the last of all that it reads."""
    return tuple(value for name, value in settings(content) if name == "core.hookspath" and value)


def _runs(name: str, value: str) -> bool:
    lowered = name.lower()
    if _RUNNING.fullmatch(lowered):
        return True
    if _TOOL.fullmatch(lowered):
        return "/" in value
    is_address = _REMOTE.fullmatch(lowered) or _NAMED.fullmatch(lowered)
    return bool(is_address) and value.strip().strip('"').startswith(_HELPERS)
