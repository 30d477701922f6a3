"""`ringfence sandbox`: the runs that are under way in a sandbox, and their end."""

import time

import click
import msgspec

from ringfence.cli.connection import Connection, Place, connect_running
from ringfence.cli.option import JSON, at_organisation, complete_agent, segment
from ringfence.cli.terminal.listing import say_items
from ringfence.cli.terminal.moment import show_duration
from ringfence.cli.terminal.printing import hint
from ringfence.cli.terminal.text import harmless
from ringfence.cli.usage import Group
from ringfence.domain.error import RingfenceError, UsageError


class _Sandbox(msgspec.Struct):
    id: str
    agent: str
    invocation: str
    tier: str
    started_us: str
    workspace: str


@click.group(cls=Group)
def sandbox() -> None:
    """What runs in a sandbox now."""


@sandbox.command("list")
@JSON
@at_organisation
def list_(place: Place, *, is_json: bool) -> None:
    """List the sandboxes that are running, the oldest first."""
    items = connect_running(place).listing("/sandboxes")
    say_items(
        items,
        _Sandbox,
        _row,
        ("ID", "AGENT", "TIER", "RUNS FOR", "TRACE", "WORKSPACE"),
        is_json=is_json,
        nothing="nothing runs; start something with `ringfence run`",
    )


def _row(each: _Sandbox) -> tuple[str, ...]:
    ran_us = max(0, time.time_ns() // 1000 - int(each.started_us))
    return (
        each.id,
        harmless(each.agent),
        each.tier,
        show_duration(ran_us),
        each.invocation,
        harmless(each.workspace),
    )


@sandbox.command("stop")
@click.argument("ids", metavar="[ID]…", nargs=-1)
@click.option(
    "--agent", metavar="NAME", shell_complete=complete_agent, help="Every one of this agent's."
)
@at_organisation
def stop(place: Place, ids: tuple[str, ...], agent: str | None) -> None:
    """End a sandbox and everything in it; ID is its own or its trace's.

    When this returns it has no process and no network any more. The agent may run again: to keep
    it out, `ringfence agent suspend`.
    """
    if bool(ids) == bool(agent):
        raise UsageError(
            "usage", "name what to stop", help="ids, or --agent; `ringfence sandbox list` has them"
        )
    plane = connect_running(place)
    found = _running(plane)
    for each in _of_agent(found, agent) if agent else [_named(found, id_) for id_ in ids]:
        _stop(plane, each)
    if agent:
        for each in _running(plane):
            if each.agent == agent:  # it has begun meanwhile
                _stop(plane, each)


def _running(plane: Connection) -> list[_Sandbox]:
    return [msgspec.json.decode(each, type=_Sandbox) for each in plane.listing("/sandboxes")]


def _named(found: list[_Sandbox], id_: str) -> _Sandbox:
    for each in found:
        if id_ in {each.id, each.invocation}:
            return each
    help_ = "`ringfence sandbox list` shows what runs"
    raise UsageError("sandbox_unknown", f"no sandbox `{id_}` is running", help=help_)


def _of_agent(found: list[_Sandbox], agent: str) -> list[_Sandbox]:
    mine = [each for each in found if each.agent == agent]
    if not mine:
        help_ = "`ringfence sandbox list` shows what runs"
        raise UsageError("sandbox_unknown", f"nothing of agent `{agent}` is running", help=help_)
    return mine


def _stop(plane: Connection, each: _Sandbox) -> None:
    """One that has ended by itself meanwhile keeps none of the others running."""
    try:
        plane.post(f"/sandboxes/{segment(each.id)}/stop")
    except RingfenceError as error:
        if error.code != "sandbox_unknown":
            raise
        hint(f"{each.id} of {harmless(each.agent)} had ended")
    else:
        hint(f"stopped {each.id} of {harmless(each.agent)}")
