"""What in a git configuration makes git run something, or fetch from somewhere else than it says.

Source: git-config(1). Read leniently: what only looks like such a setting counts as one.
"""

import re
from typing import Final

_SECTION: Final = re.compile(rb'\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]')
_SETTING: Final = re.compile(rb"\s*([A-Za-z][A-Za-z0-9-]*)\s*(?:=\s*(.*))?")

_RUNNING: Final = re.compile(
    r"core\.(fsmonitor|hookspath|sshcommand|pager|editor|askpass|gitproxy|alternaterefscommand)"
    r"|(sequence|gui)\.editor|alias\..*|(.*\.)?pager\..*|credential(\..*)?\.helper"
    r"|filter\..*\.(clean|smudge|process)|diff\.external|diff\..*\.(command|textconv)"
    r"|(merge|difftool|mergetool|man|browser|guitool)\..*\.(driver|cmd|path)"
    r"|gpg(\..*)?\.(program|defaultkeycommand)|include(if\..*)?\.path|url\..*\.(push)?insteadof"
    r"|remote\..*\.(uploadpack|receivepack|vcs|proxy)|uploadpack\.packobjectshook"
    r"|interactive\.difffilter|init\.templatedir|protocol(\..*)?\.allow|submodule\..*\.update"
    r"|sendemail\..*|web\.browser|extensions\.worktreeconfig|http(\..*)?\.(proxy|sslverify)"
    r"|trailer\..*\.(command|cmd)|receive\.procreceiverefs|core\.worktree"
)
_REMOTE: Final = re.compile(r"remote\..*\.(push)?url")
_HELPERS: Final = ("ext::", "fd::", "!")


def settings(content: bytes) -> list[tuple[str, str]]:
    """Every setting as its full name in lower case and its value, in order."""
    found: list[tuple[str, str]] = []
    section = ""
    for line in content.replace(b"\\\n", b"").splitlines():
        rest = line.strip()
        heading = _SECTION.match(rest)
        while heading is not None:  # a setting may follow on the same line
            name, sub = heading[1].decode().lower(), heading[2]
            section = name if sub is None else f"{name}.{sub.decode('utf-8', 'replace')}"
            rest = rest[heading.end() :].strip()
            heading = _SECTION.match(rest)
        if not rest or rest[:1] in b"#;":
            continue
        setting = _SETTING.match(rest)
        if setting is not None:
            key = setting[1].decode().lower()
            found.append((f"{section}.{key}", (setting[2] or b"").decode("utf-8", "replace")))
    return found


def commands(content: bytes) -> frozenset[str]:
    """The settings by which git would run something or reach elsewhere, each with its value."""
    return frozenset(f"{name}={value}" for name, value in settings(content) if _runs(name, value))


def hooks_path(content: bytes) -> str:
    """Where hooks are, if the configuration says so; empty if it does not."""
    return next((value for name, value in settings(content) if name == "core.hookspath"), "")


def _runs(name: str, value: str) -> bool:
    lowered = name.lower()
    if _RUNNING.fullmatch(lowered):
        return True
    return bool(_REMOTE.fullmatch(lowered)) and value.strip().strip('"').startswith(_HELPERS)
