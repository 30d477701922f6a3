"""`ringfence tools lint`: how good tools are for models, each finding with what mends it."""

import importlib
import re
from typing import Any

import msgspec

from ringfence.analysis.tool_lint.finding import Finding
from ringfence.analysis.tool_lint.lint import lint
from ringfence.analysis.tool_text import visible
from ringfence.cli.connection import Place, connect
from ringfence.cli.terminal.style import Style
from ringfence.cli.terminal.text import harmless
from ringfence.domain.error import UsageError
from ringfence.domain.tool import ToolServer

_URL = re.compile(r"https?://[^\s]+")
_NAME = "server"
"""What a server is called that no configuration names."""


class FindingLine(msgspec.Struct, frozen=True):
    """One finding."""

    rule: str
    severity: str
    tool: str
    place: str
    what: str
    fix: str


class MisuseLine(msgspec.Struct, frozen=True):
    """What one model gets wrong with one parameter."""

    tool: str
    parameter: str
    model: str
    wrong: int
    calls: int
    wrong_before: int
    calls_before: int


class Linted(msgspec.Struct, frozen=True):
    """What was found."""

    tools: int
    findings: list[FindingLine]
    misuse: list[MisuseLine] = []

    @property
    def has_errors(self) -> bool:
        """Whether a tool fails, or is dangerous."""
        return any(each.severity == "error" for each in self.findings)


def lint_target(place: Place, target: str, command: tuple[str, ...], token: str) -> Linted:
    """Judge a server of the plane, a URL, or a command. Raises RingfenceError."""
    if command:
        return _read(ToolServer(name=_NAME, command=command), token)
    if _URL.fullmatch(target):
        credential = token or None
        return _read(ToolServer(name=_NAME, url=target, credential=credential), token)
    if token:
        raise UsageError("usage", "--token-from belongs to a URL")
    with connect(place) as plane:
        answer = plane.get("/tools/lint", server=target or None)
    return msgspec.json.decode(answer, type=Linted)


def _read(server: ToolServer, token: str) -> Linted:
    # Loaded only now: asking a plane needs no engine.
    reading: Any = importlib.import_module("ringfence.app.tool_reading")
    environment = reading.child_environment()
    if token and not environment.get(token):
        raise UsageError(
            "secret_missing", f"environment variable `{token}` is not set", help=f"export {token}=…"
        )
    found = reading.read_server(server, environment)
    findings = [_line(each) for each in lint(found.tools)]
    unreadable = [
        FindingLine("unreadable", "error", _NAME, "", visible(each), "correct its definition")
        for each in found.problems
    ]
    return Linted(len(found.tools), [*unreadable, *findings])


def _line(each: Finding) -> FindingLine:
    return FindingLine(
        rule=each.rule,
        severity=each.severity.name.lower(),
        tool=visible(each.tool) or _NAME,
        place=visible(each.place),
        what=visible(each.what),
        fix=each.fix,
    )


def lines_of(found: Linted, style: Style) -> list[str]:
    """What was found, for people: tool by tool, then what models got wrong."""
    lines: list[str] = []
    tool = None
    for each in sorted(found.findings, key=lambda one: one.tool):
        if each.tool != tool:
            tool = each.tool
            lines.append(style.bold(harmless(tool)))
        mark = style.bad(each.severity) if each.severity == "error" else each.severity
        where = f"  ({harmless(each.place)})" if each.place else ""
        lines.append(f"  {mark}  {each.rule}: {harmless(each.what)}{where}")
        lines.append(f"      fix: {harmless(each.fix)}")
    if found.misuse:
        lines.append(style.bold("what models get wrong"))
    lines += [_missed(each) for each in found.misuse]
    return lines


def _missed(each: MisuseLine) -> str:
    before = ""
    if each.calls_before:
        before = f", before its last change in {each.wrong_before} of {each.calls_before}"
    what = f"wrong in {each.wrong} of {each.calls} calls{before}"
    model = harmless(each.model) or "?"
    return f"  {harmless(each.tool)} `{harmless(each.parameter)}`  {model}: {what}"
