"""`ringfence tools`: list, lock, diff, lint."""

import sys

import click
import msgspec

from ringfence.cli.connection import Place, connect
from ringfence.cli.option import JSON, at_organisation, segment
from ringfence.cli.terminal.printing import hint, progress, say, say_json, say_listing
from ringfence.cli.terminal.style import Style
from ringfence.cli.terminal.table import Column, table
from ringfence.cli.terminal.text import harmless
from ringfence.cli.tools.authorizing import authorize
from ringfence.cli.tools.linting import lines_of, lint_target
from ringfence.cli.tools.locking import Check, check_seen, lock_tools
from ringfence.cli.tools.stats import show_stats
from ringfence.cli.tools.watching import check_live
from ringfence.cli.usage import Group

_COMMAND = "ringfence.command"
NAME = click.argument("name", metavar="[SERVER__TOOL]", default="")


class Line(msgspec.Struct):
    """One tool as the plane lists it."""

    name: str
    server: str
    shown: str
    state: str
    why: str
    tier: str
    description: str
    version: str
    pinned_by: str
    refused_by: list[str]


class _Change(msgspec.Struct):
    what: str
    path: str
    is_breaking: bool
    before: str
    after: str


class Drift(msgspec.Struct):
    """One tool that is not as it was accepted."""

    name: str
    state: str
    why: str
    listed_pin: str
    changes: list[_Change]
    effects: list[str]


@click.group(cls=Group)
def tools() -> None:
    """Tools: what servers offer, what is accepted of it, what has changed."""


@tools.command("list")
@click.option("--server", default="", help="Only the tools of one server.")
@click.option("--held", "is_held", is_flag=True, help="Only those that may not be called.")
@click.option("--stats", "is_stats", is_flag=True, help="How the last seven days' calls fared.")
@JSON
@at_organisation
def list_(place: Place, *, server: str, is_held: bool, is_stats: bool, is_json: bool) -> None:
    """List every tool that a server was seen to offer, and how it stands."""
    if is_stats:
        show_stats(place, server, is_json=is_json)
        return
    asked = {"server": server or None, "is_held": "true" if is_held else None}
    with connect(place) as plane:
        items = plane.listing("/tools", None, **asked)
    if is_json:
        say_listing(items)
        return
    lines = [msgspec.json.decode(item, type=Line) for item in items]
    if not lines:
        hint("no tool is held" if is_held else "no server has listed a tool yet")
        return
    style = Style.of(sys.stdout)
    headings = ("TOOL", "STATE", "TIER", "ACCEPTED", "REFUSED BY", "DESCRIPTION")
    rows = [
        (
            harmless(each.name),
            each.state if each.state == "ok" else style.bad(each.state),
            each.tier,
            harmless(each.pinned_by),
            ", ".join(each.refused_by),
            harmless(each.why or each.description.partition("\n")[0]),
        )
        for each in lines
    ]
    say(table([Column(each) for each in headings], rows, style))


@tools.command("diff")
@NAME
@JSON
@at_organisation
def diff(place: Place, *, name: str, is_json: bool) -> None:
    """Show what has changed of tools since they were accepted, and whom that affects."""
    with connect(place) as plane:
        items = plane.listing("/tools/changes", name=name or None)
    found = [msgspec.json.decode(item, type=Drift) for item in items]
    if is_json:
        say_json({"items": items, "next": None})
    else:
        say(drift_lines(found, Style.of(sys.stdout)))
        if not found:
            hint("every tool is as it was accepted")
    if found:
        sys.exit(1)


def drift_lines(found: list[Drift], style: Style) -> list[str]:
    """What has changed, for people."""
    lines: list[str] = []
    for each in found:
        lines.append(f"{style.bold(harmless(each.name))}  {each.state}: {harmless(each.why)}")
        for change in each.changes:
            mark = style.bad("!") if change.is_breaking else "·"
            lines.append(f"  {mark} {harmless(change.what)}")
            lines += [f"      - {harmless(change.before)}"] if change.before else []
            lines += [f"      + {harmless(change.after)}"] if change.after else []
        lines += [f"  {style.bad('→')} {harmless(one)}" for one in each.effects]
        lines.append(f"  accept it with: ringfence tools lock --accept {harmless(each.name)}")
    return lines


@tools.command("lock")
@click.option(
    "--accept",
    "accepted",
    metavar="SERVER__TOOL",
    multiple=True,
    help="Accept a tool as it is listed now, on the record; may be given several times.",
)
@click.option("--pin", default="", help="With one --accept: only if it is still what you saw.")
@click.option("--check", "is_check", is_flag=True, help="Change nothing; exit 1 on drift.")
@click.option(
    "--live", "is_live", is_flag=True, help="With --check: ask the servers now; needs no plane."
)
@JSON
@at_organisation
def lock(  # noqa: PLR0913 (the options of one command)
    place: Place,
    *,
    accepted: tuple[str, ...],
    pin: str,
    is_check: bool,
    is_live: bool,
    is_json: bool,
) -> None:
    """Write what is accepted of every tool to the lock file beside the configuration.

    Then only what the file holds may be called. Without it, what a server lists first is trusted.
    """
    if is_check and accepted:
        raise click.UsageError("--check changes nothing, so that --accept has no place beside it")
    if pin and len(accepted) != 1:
        raise click.UsageError("--pin belongs to exactly one --accept")
    if is_live and not is_check:
        raise click.UsageError("--live belongs to --check")
    if is_check:
        with progress("asking the servers" if is_live else "looking at tools"):
            found = check_live(place) if is_live else check_seen(place)
        _tell_check(found, is_json=is_json)
        return
    done = lock_tools(place, accepted, pin)
    if is_json:
        say_json(done)
        return
    for name in done.accepted:
        hint(f"accepted {harmless(name)}")
    for name in done.left_out:
        hint(f"not in the lock, because nobody has accepted it: {harmless(name)}")
    if done.path:
        hint(f"{done.tools} tools of {done.servers} servers are in {harmless(done.path)}")
        if not done.is_in_force:
            hint("`ringfence reload` puts it in force")


def _tell_check(found: Check, *, is_json: bool) -> None:
    if is_json:
        say_json(found)
    else:
        style = Style.of(sys.stdout)
        say(
            [
                f"{style.bad(each.state)}  {harmless(each.name)}  {harmless(each.why)}"
                for each in found.drift
            ]
        )
        say([f"{style.bad('problem')}  {harmless(each)}" for each in found.problems])
        if not found.drift and not found.problems:
            say([f"{style.good('good')}  {found.tools} tools are as they were accepted"])
    if found.drift or found.problems:
        sys.exit(1)


class _WithCommand(click.Command):
    """Keeps what follows `--` apart: one word there is a program, and no name of a server."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[_COMMAND], args = tuple(args[at + 1 :]), args[:at]
        return super().parse_args(ctx, args)


@tools.command("lint", cls=_WithCommand)
@click.argument("target", metavar="[SERVER|URL|-- COMMAND…]", default="")
@click.option(
    "--token-from", "token", metavar="NAME", default="", help="The variable with a URL's token."
)
@JSON
@at_organisation
def lint(place: Place, *, target: str, token: str, is_json: bool) -> None:
    """Say how good tools are for models, each finding with what mends it; exit 1 on errors.

    Of a server of the plane, or all of them, from what they were seen to list and from the record;
    or of a URL or a command, which is asked for its tools now. No tool is ever called.
    """
    command: tuple[str, ...] = click.get_current_context().meta.get(_COMMAND, ())
    if command and target:
        raise click.UsageError("name a server, a URL or a command, and only one of them")
    with progress("reading tools"):
        found = lint_target(place, target, command, token)
    if is_json:
        say_json(found)
    else:
        say(lines_of(found, Style.of(sys.stdout)))
        kinds = ("error", "warning", "note")
        counts = [sum(each.severity == kind for each in found.findings) for kind in kinds]
        hint(f"{found.tools} tools: {counts[0]} errors, {counts[1]} warnings, {counts[2]} notes")
    if found.has_errors:
        sys.exit(1)


@tools.command("authorize")
@click.argument("server")
@click.option("--port", default=0, help="Where the browser comes back to; any, if not given.")
@click.option("--forget", "is_forgotten", is_flag=True, help="Drop the grant instead.")
@JSON
@at_organisation
def authorize_server(
    place: Place, *, server: str, port: int, is_forgotten: bool, is_json: bool
) -> None:
    """Let the plane use SERVER in your name: you say yes in a browser (OAuth).

    For servers with `oauth: {by: person}`. The plane keeps the grant encrypted and renews it.
    """
    with connect(place) as plane:
        if is_forgotten:
            plane.delete(f"/tools/servers/{segment(server)}/grant")
            hint(f"tool server {server} is not authorised any more")
            return
        granted = authorize(plane, server, port)
    if is_json:
        say_json(granted)
        return
    hint(f"tool server {harmless(granted.server)} is authorised, by {harmless(granted.issuer)}")
