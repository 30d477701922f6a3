"""`ringfence policy`: judge policies, test them, ask why, and try them on what was recorded."""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from ringfence.cli.connection import Place, connect
from ringfence.cli.option import JSON, at_organisation, complete_agent
from ringfence.cli.terminal.moment import read_moment, show_moment
from ringfence.cli.terminal.printing import hint, say, say_json, with_moments
from ringfence.cli.terminal.style import Style
from ringfence.cli.terminal.table import Column, table
from ringfence.cli.terminal.text import counted, harmless
from ringfence.cli.usage import Group
from ringfence.config.policy_library import STARTERS, write_starter
from ringfence.config.problem import Problems
from ringfence.config.variable import AnyValue
from ringfence.domain.error import RingfenceError, UsageError
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.policy import ToolFacts
from ringfence.transport.clock import SystemClock

_FAILED: Final = 1
_MARKS = {"allow": "good", "ask": "warning", "deny": "bad"}


class _Facts(msgspec.Struct):
    name: str
    input_schema: str


class _Policy(msgspec.Struct):
    id: str
    source: str
    line: int
    effect: str
    text: str
    ask: str | None = None


class _Considered(msgspec.Struct):
    policy: _Policy
    decided: bool


class _Explained(msgspec.Struct):
    action: str
    resource: str
    tier: str
    verdict: str
    reasons: list[str]
    problem: str
    considered: list[_Considered]
    reads: list[str]


class _Changed(msgspec.Struct):
    action: str
    time_us: str
    agent: str
    resource: str
    was: str
    would: str
    policies: list[str]
    problem: str


class _Replayed(msgspec.Struct):
    decided: int
    unread: int
    changes: int
    changed: list[_Changed]


@click.group(cls=Group)
def policy() -> None:
    """Policies in Cedar: judge, test and explain them."""


@policy.command("check")
@JSON
@at_organisation
def check(place: Place, *, is_json: bool) -> None:
    """Judge the policy files, against what is defined and the tools that are known.

    Problems end with exit code 2. Policies on arguments of tools that no server has listed yet
    cannot be judged whole; they are named.
    """
    organisation, folder = _files(place)
    tools = _known_tools(place)
    judge: Any = importlib.import_module("ringfence.config.definition.policy").judge_policies
    problems = Problems()
    unchecked: tuple[str, ...] = judge(organisation, folder, problems, tools)
    problems.check()
    files = organisation.policies.files if organisation.policies is not None else {}
    document = {"files": sorted(files), "unchecked": list(unchecked), "tools": len(tools)}
    if is_json:
        say_json(document)
        return
    style = Style.of(sys.stdout)
    summary = f"{counted(len(files), 'file')}, judged against {counted(len(tools), 'known tool')}"
    say([f"{style.good('good')}  {harmless(str(folder))}  {summary}"])
    for name in unchecked:
        say([f"  {harmless(name)}: its tools are not known yet; start the plane and list them"])


@policy.command("test")
@click.option("--against", metavar="TIME", help="Decide again what was recorded since: 7d, 12h.")
@JSON
@at_organisation
def test(place: Place, against: str | None, *, is_json: bool) -> None:
    """Try the cases in `*.test.yaml` beside the policy files; exit code 1 if one fails.

    With --against, decide the calls of that time again with the files as they are now, and show
    those that would have come out otherwise (exit code 1 if there are any).
    """
    if against is not None:
        _replay(place, read_moment(against, SystemClock().now_us()), is_json=is_json)
        return
    organisation, folder = _files(place)
    read: Any = importlib.import_module("ringfence.config.policy_case").read_cases
    case: Any = importlib.import_module("ringfence.decisions.policy.case")
    problems = Problems()
    cases = read(organisation, folder, problems)
    problems.check()
    compilation: Any = importlib.import_module("ringfence.decisions.policy.compilation")
    trial = case.try_cases(compilation.compile_policies(organisation, _known_tools(place)), cases)
    if is_json:
        say_json(_trial_document(trial))
    else:
        say(_trial_lines(trial, Style.of(sys.stdout)))
    if trial.failed:
        sys.exit(_FAILED)


@policy.command("explain")
@click.argument("agent", shell_complete=complete_agent)
@click.argument("resource")
@click.argument("arguments", default="{}")
@click.option("--action", help="If the name does not tell: tool.call, model.call, http.request …")
@click.option("--tier", help="read, write, consequential or irreversible [as configured].")
@click.option("--caller", help="interactive, subagent, api or background [api].")
@click.option("--user", help="For whom the agent acts [nobody].")
@click.option("--seen", help="Labels of what the run has read, with commas between them.")
@JSON
@at_organisation
def explain(place: Place, *, is_json: bool, **asked: str | None) -> None:
    """Show what the policies in force say of a call, and which of them decide.

    AGENT wants to use RESOURCE (a tool server__tool, a model, a host, a command) with ARGUMENTS,
    which are JSON.
    """
    with connect(place) as plane:
        answer = plane.get("/policies/explain", **asked)
    if is_json:
        say_json(msgspec.json.decode(answer))
        return
    say(_explained(msgspec.json.decode(answer, type=_Explained), Style.of(sys.stdout)))


@policy.command("schema")
@click.argument("tool", required=False)
@at_organisation
def schema(place: Place, tool: str | None) -> None:
    """Print the Cedar schema that policies are validated against, as JSON, for editors.

    With TOOL (server__tool), calls of tools have the arguments of this one.
    """
    shaping: Any = importlib.import_module("ringfence.decisions.policy.shape")
    module: Any = importlib.import_module("ringfence.decisions.policy.schema")
    shape = shaping.EMPTY
    if tool is not None:
        known = _known_tools(place)
        if tool not in known:
            raise UsageError(
                "tool_unknown",
                f"no tool `{tool}` has been listed",
                help="`ringfence tools list` shows those that have",
            )
        shape = shaping.shape_of(known[tool].input_schema)
    say_json(module.schema(shape))


@policy.command("init")
@click.argument("name", required=False)
@click.option("--agent", help="The agent that it is about.", shell_complete=complete_agent)
@click.option("--server", help="The tool server that it is about.")
@click.option("--tool", help="The tool that it is about, as server__tool.")
@click.option("--amount", default="amount", show_default=True, help="The argument with the amount.")
@click.option("--model", help="A model that the agent may use, for the cases.")
@at_organisation
def init(place: Place, name: str | None, **fills: str | None) -> None:
    """Write policies to start from, and their cases, into the policies folder.

    Without NAME, list what there is.
    """
    if name is None:
        style = Style.of(sys.stdout)
        columns = [Column("NAME", paint=style.name), Column("NEEDS"), Column("WHAT")]
        rows = [
            (each.name, " ".join(f"--{fill}" for fill in each.fills), each.summary)
            for each in STARTERS.values()
        ]
        say(table(columns, rows, style))
        return
    _, folder = _files(place)
    known = {word: given for word, given in fills.items() if given}
    written = write_starter(name, folder, known)
    say([harmless(f"wrote {path}") for path in written])
    hint("read them, then `ringfence policy test` and `ringfence reload`")


def _files(place: Place) -> tuple[Organisation, Path]:
    """The organisation as its files say, and the folder of its policies."""
    loading: Any = importlib.import_module("ringfence.config.loading")
    definition: Any = importlib.import_module("ringfence.config.definition.policy")
    path = place.settings.config
    configuration: Configuration = loading.load(path, AnyValue(os.environ)).configuration
    known = configuration.organisations
    if place.organisation is not None and place.organisation not in known:
        raise UsageError("organisation_unknown", f"no organisation `{place.organisation}`")
    if place.organisation is None and len(known) > 1:
        help_ = f"give --organisation: {', '.join(sorted(known))}"
        raise UsageError("organisation_ambiguous", "there are several organisations", help=help_)
    organisation = known[place.organisation or next(iter(known))]
    if organisation.policies is None:
        raise UsageError(
            "no_policies",
            "the configuration names no policies folder",
            help="write `policies: policies/` into it and make the folder",
        )
    return organisation, definition.policies_folder(organisation.policies, path)


def _known_tools(place: Place) -> dict[str, ToolFacts]:
    """What the plane knows of tools; nothing if there is none yet."""
    if not place.settings.data.exists():
        return {}
    try:
        with connect(place) as plane:
            items = plane.listing("/policies/tools")
    except RingfenceError as error:
        hint(f"the tools that were listed cannot be read: {error.message}")
        return {}
    found = [msgspec.json.decode(item, type=_Facts) for item in items]
    return {each.name: ToolFacts(input_schema=each.input_schema.encode()) for each in found}


def _replay(place: Place, since_us: int, *, is_json: bool) -> None:
    with connect(place) as plane:
        answer = plane.get("/policies/replay", since_us=since_us)
    found = msgspec.json.decode(answer, type=_Replayed)
    if is_json:
        say_json(with_moments(msgspec.json.decode(answer)))
    else:
        say(_replay_lines(found, Style.of(sys.stdout)))
    if found.changes:
        sys.exit(_FAILED)


def _replay_lines(found: _Replayed, style: Style) -> Iterator[str]:
    calls = counted(found.decided, "recorded call")
    if found.changes:
        yield f"{calls} decided again, {style.warning(f'{found.changes:,} would change')}"
    else:
        yield f"{calls} decided again, {style.good('nothing would change')}"
    if found.unread:
        yield f"{counted(found.unread, 'call')} left out: arguments are not stored any more"
    if found.changed:
        columns = [Column(each) for each in ("TIME", "AGENT", "RESOURCE", "WAS", "WOULD BE", "BY")]
        rows = [
            (
                show_moment(int(each.time_us)),
                each.agent,
                each.resource,
                each.was,
                each.would,
                each.problem or " ".join(each.policies),
            )
            for each in found.changed
        ]
        yield ""
        yield from table(columns, rows, style)


def _trial_document(trial: Any) -> object:  # noqa: ANN401 (its module is loaded when it is used)
    return {
        "cases": [
            {
                "file": each.case.file,
                "line": each.case.line,
                "name": each.case.name,
                "expected": each.case.expected,
                "verdict": each.decision.verdict,
                "policies": list(each.decision.policies),
                "problem": each.decision.problem,
                "wrong": each.wrong,
            }
            for each in trial.tried
        ],
        "untested": list(trial.untested),
    }


def _trial_lines(trial: Any, style: Style) -> Iterator[str]:  # noqa: ANN401 (as above)
    for each in trial.failed:
        where = f"{each.case.file}:{each.case.line}"
        yield f"{style.bad('failed')}  {harmless(where)}  {harmless(each.case.name)}: {each.wrong}"
        why = each.decision.problem or " ".join(each.decision.policies)
        if why:
            yield f"        {harmless(why)}"
    passed = len(trial.tried) - len(trial.failed)
    mark = style.good if not trial.failed else style.warning
    yield mark(f"{passed:,} of {counted(len(trial.tried), 'case')} passed")
    if trial.untested:
        yield f"decided in no case: {harmless(', '.join(trial.untested))}"


def _explained(found: _Explained, style: Style) -> Iterator[str]:
    paint = getattr(style, _MARKS[found.verdict])
    yield f"{paint(found.verdict)}  {harmless(found.resource)}  ({found.action}, {found.tier})"
    for reason in found.reasons:
        yield f"  {harmless(reason)}"
    if found.problem:
        yield f"  {harmless(found.problem)}"
    for each in found.considered:
        where = each.policy.source + (f":{each.policy.line}" if each.policy.line else "")
        mark = style.bold("decides") if each.decided else style.dim("       ")
        yield ""
        yield f"{mark}  {style.name(harmless(each.policy.id))}  {style.dim(harmless(where))}"
        yield from (f"         {harmless(line)}" for line in each.policy.text.split("\n"))
    if found.reads:
        yield ""
        yield style.dim(f"looked at: {harmless(', '.join(found.reads))}")
    if not found.considered:
        yield style.dim("  no policy is about it: what nothing permits is denied")
