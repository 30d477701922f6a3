"""The tools that a chat request declares."""

from ringfence.protocols import strict_json
from ringfence.protocols.field import Findings, Meaning

_NAMES = frozenset({"type", "function", "custom"})
_CLIENT_TYPES = frozenset({"function", "custom"})
_HARMLESS = frozenset({"type", "cache_control", "strict"})
"""Beside a client-side tool; by any other name a server may mean a tool of its own."""


def read_tools(raw: bytes) -> Findings:
    """Read a `tools` array: names of client-side tools, and what the provider would run."""
    findings = Findings()
    for start, end in strict_json.elements(raw, 0, len(raw), strict_json.MAX_NAMES):
        _read_tool(raw, start, end, findings)
    return findings


def read_functions(raw: bytes) -> list[str]:
    """Read the older `functions` array."""
    places = strict_json.elements(raw, 0, len(raw), strict_json.MAX_NAMES)
    return [_name(raw, span, "functions") for span in places]


def _read_tool(raw: bytes, start: int, end: int, findings: Findings) -> None:
    found = strict_json.spans_within(raw, start, end)
    strict_json.refuse_lookalikes(found, _NAMES)
    kind = "function" if "function" in found else next(iter(found), "")
    if "type" in found:
        type_start, type_end = found["type"]
        kind = strict_json.text(raw[type_start:type_end], "type")
    if kind in _CLIENT_TYPES:
        if kind not in found:
            strict_json.refuse(f"a tool of type `{kind}` has no `{kind}`")
        findings.tools.append(_name(raw, found[kind], "tools"))
        for name in found.keys() - _HARMLESS - {kind}:
            if raw[slice(*found[name])] != b"null":
                findings.add(Meaning.HOSTED, name, None)
    else:
        findings.add(Meaning.HOSTED, kind, None)


def _name(raw: bytes, span: tuple[int, int], where: str) -> str:
    found = strict_json.spans_within(raw, *span)
    if "name" not in found:
        strict_json.refuse(f"an entry of `{where}` has no `name`")
    start, end = found["name"]
    return strict_json.text(raw[start:end], "name")
