"""Makes what is kept of a sandbox beside its actions readable, as a trace shows it."""

import re
from typing import Final

import msgspec

from ringfence.domain.exchange import Message, Part, Reading
from ringfence.domain.observation import Seen

_SHOWN: Final = 256 * 1024
"""Bytes of one body; the record keeps more."""
_CONTROL: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]*[0-~])"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)
"""ECMA-48 control sequences, and control characters other than tab, newline and return."""


class _Change(msgspec.Struct):
    path: str
    kind: str = "file"
    size: int = 0
    is_executable: bool = False


class _Summary(msgspec.Struct):
    added: list[_Change] = []
    changed: list[_Change] = []
    removed: list[str] = []
    is_partial: bool = False
    trouble: str = ""
    elsewhere: list[str] = []


def read(what: str, body: bytes) -> Reading:
    """One body as a text: a terminal without its control sequences, changed files as lines."""
    text = _workspace(body) if what == Seen.WORKSPACE else _terminal(body)
    return Reading(answer=Message(role="evidence", parts=[Part(kind="text", text=text)]))


def _terminal(body: bytes) -> str:
    text = _CONTROL.sub("", body[:_SHOWN].decode("utf-8", "replace"))
    # What a program wrote over its own line: the last version of it is what was to be seen.
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return "\n".join(lines)


def _workspace(body: bytes) -> str:
    try:
        found = msgspec.json.decode(body, type=_Summary)
    except msgspec.DecodeError:
        return body[:_SHOWN].decode("utf-8", "replace")
    lines = [
        *(f"+ {_told(each)}" for each in found.added),
        *(f"~ {_told(each)}" for each in found.changed),
        *(f"- {each}" for each in found.removed),
        *(["… not everything was looked at"] if found.is_partial else []),
        *([f"! {found.trouble}"] if found.trouble else []),
        *(f"! {each} has another name outside" for each in found.elsewhere),
    ]
    return "\n".join(lines)


def _told(change: _Change) -> str:
    kind = "" if change.kind == "file" else f", {change.kind}"
    runs = ", executable" if change.is_executable else ""
    return f"{change.path} ({change.size} B{kind}{runs})"
