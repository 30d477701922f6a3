"""Files `*.test.yaml` beside policies: the cases that they must pass."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from ringfence.config import tree
from ringfence.config.problem import Place, Problems, nearest, shown
from ringfence.config.reading import Reading
from ringfence.config.section import Section
from ringfence.config.tree import Items, Node, Table, Text
from ringfence.decisions.policy.case import Case
from ringfence.decisions.policy.entity import tier_in
from ringfence.domain.action import ActionKind
from ringfence.domain.caller import CallerTier
from ringfence.domain.organisation import Organisation
from ringfence.domain.policy import PolicyVerdict, Question, ToolFacts
from ringfence.domain.tool import PermissionTier

SUFFIX = ".test.yaml"

_KINDS = {
    "model": ActionKind.MODEL_CALL,
    "tool": ActionKind.TOOL_CALL,
    "host": ActionKind.HTTP_REQUEST,
    "command": ActionKind.SHELL_EXEC,
    "call_agent": ActionKind.AGENT_CALL,
}
_ANY = re.compile(r"[^\x00-\x1f\x7f]{1,400}", re.DOTALL)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS = frozenset({"true", "false", "null"})
_MOMENT = "2026-01-07 12:00"
"""When a case takes place that does not say: a Wednesday at noon, local time."""
_LARGEST_BYTES = 1024 * 1024


@dataclass(slots=True)
class _File:
    organisation: Organisation
    path: Path
    problems: Problems
    tools: dict[str, ToolFacts] = field(default_factory=dict)


def read_cases(organisation: Organisation, folder: Path, problems: Problems) -> list[Case]:
    """Every case in the folder of an organisation's policies and in all folders in it.

    `folder` is that of the policies. What is wrong with a file is noted.
    """
    paths = sorted(folder.rglob(f"*{SUFFIX}"))
    return [case for path in paths for case in _read(_File(organisation, path, problems))]


def _read(file: _File) -> Iterator[Case]:
    try:
        text = file.path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        file.problems.add(Place(str(file.path)), "cannot be read", "a UTF-8 text is expected")
        return
    if len(text) > _LARGEST_BYTES:
        file.problems.add(Place(str(file.path)), "is too large", "at most 1 MiB")
        return
    node = tree.parse(text, str(file.path), file.problems)
    if node is None:
        return
    root = Section(node, "the file", Reading({}, file.problems), "cases: [{agent: …}]")
    root.require("cases")
    _read_tools(root, file)
    cases = root.node("cases")
    if cases is not None and not isinstance(cases, Items):
        root.problem(cases.place, "`cases` must be a list")
    for node in cases.items if isinstance(cases, Items) else ():
        case = _case(Section(node, "a case", root.reading), file)
        if case is not None:
            yield case
    root.close()


def _read_tools(root: Section, file: _File) -> None:
    """What the file says of tools that no server has shown yet."""
    for name, section in root.named("tools", "tool", pattern=_ANY):
        schema = section.node("schema")
        labels = frozenset(item.value for item in section.items("labels"))
        written = b"" if schema is None else as_json(schema).encode()
        file.tools[name] = ToolFacts(input_schema=written, labels=labels)
        section.close()


def _case(section: Section, file: _File) -> Case | None:
    section.require("agent", "expect")
    known = file.organisation
    agent = section.item("agent")
    kinds = [key for key in _KINDS if key in section]
    if len(kinds) != 1:
        what = "a case is about exactly one thing"
        section.problem(section.place, what, f"one of {', '.join(_KINDS)}")
    expected = section.word("expect", PolicyVerdict.ALLOW)
    is_known = agent is not None and section.reference(agent, "agent", known.agents)
    if agent is None or not is_known or len(kinds) != 1:
        return None
    kind = _KINDS[kinds[0]]
    resource = section.text(kinds[0], pattern=_ANY)
    user = section.text("user", pattern=_ANY) or None
    chain = tuple(item.value for item in section.items("chain"))
    above = () if user is None else (user,)
    question = Question(
        organisation=known.id,
        agent=agent.value,
        team=known.agents[agent.value].team,
        category=known.agents[agent.value].category,
        caller_tier=section.word("caller", CallerTier.API),
        chain=(*(chain or above), agent.value),
        user=user,
        action=kind,
        resource=resource,
        tier=_tier(section, kind, resource, known),
        arguments=_arguments(section),
        seen=frozenset(item.value for item in section.items("seen")),
        now_us=_moment(section, known),
    )
    case = Case(
        file=file.path.name,
        line=section.place.line,
        name=section.text("name", pattern=_ANY) or f"{agent.value} {resource}",
        question=question,
        expected=expected,
        by=tuple(item.value for item in section.items("by")),
        tool=file.tools.get(resource),
    )
    section.close()
    return case


def _tier(
    section: Section, kind: ActionKind, resource: str, organisation: Organisation
) -> PermissionTier:
    """As the case says, else as the configuration does."""
    words = {tier.name.lower(): tier for tier in PermissionTier}
    item = section.item("tier")
    if item is not None:
        if item.value not in words:
            what = f"unknown tier {shown(item.written)}"
            section.problem(item.place, what, nearest(item.written, words))
        return words.get(item.value, PermissionTier.IRREVERSIBLE)
    return tier_in(organisation, kind, resource)


def _moment(section: Section, organisation: Organisation) -> int:
    item = section.item("at")
    text = _MOMENT if item is None else item.value
    zone = ZoneInfo(organisation.timezone)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        section.problem(section.at("at"), f"{shown(text)} is no moment", f"like `{_MOMENT}`")
        return 0
    local = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    return int((local - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000


def _arguments(section: Section) -> bytes:
    """A mapping, or a text that is taken as it stands."""
    node = section.node("arguments")
    if node is None:
        return b"{}"
    return (node.text if isinstance(node, Text) else as_json(node)).encode()


def as_json(node: Node) -> str:
    """A part of a file as JSON; numbers stand there as they are written."""
    match node:
        case Text(text=text, is_plain=is_plain):
            if is_plain and (text in _WORDS or _NUMBER.fullmatch(text)):
                return text
            return "null" if node.is_nothing else _quoted(text)
        case Items(items=items):
            return f"[{', '.join(as_json(each) for each in items)}]"
        case Table(entries=entries):
            return f"{{{', '.join(_member(entries))}}}"


def _member(entries: Mapping[str, tree.Entry]) -> Iterator[str]:
    for name, entry in entries.items():
        yield f"{_quoted(name)}: {as_json(entry.value)}"


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
