"""Checking the lock file against what servers list right now, without a plane."""

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ringfence.analysis.tool_drift import judge
from ringfence.analysis.tool_text import skeleton, visible
from ringfence.cli.connection import Place
from ringfence.cli.tools.locking import Check, Drifted
from ringfence.config.loading import load
from ringfence.domain.error import RingfenceError, UsageError
from ringfence.domain.organisation import Organisation
from ringfence.domain.tool import ToolDefinition, ToolServer, ToolState
from ringfence.protocols.tool_definition import read_definition


def check_live(place: Place) -> Check:
    """Ask every server of the configuration for its tools, and compare. Raises RingfenceError."""
    home = _organisation(place)
    locked = home.tool_lock
    if locked is None:
        problem = "there is no lock file: `ringfence tools lock` writes one"
        return Check(tools=0, drift=[], problems=[problem])
    pinned = {
        server: {each.key.name: each for each in _definitions(server, raws)}
        for server, raws in locked.items()
    }
    drift: list[Drifted] = []
    problems = [
        f"`{server}` is locked and is no server" for server in locked if server not in home.tools
    ]
    count = 0
    for name, server in home.tools.items():
        if server.is_run_by_agent:
            continue
        try:
            listed = _listed(server)
        except RingfenceError as error:
            problems.append(f"`{name}` cannot be read: {error.message}")
            continue
        problems += [f"`{name}`: {visible(each)}" for each in listed.problems]
        problems += [] if listed.tools else [f"`{name}` lists no tool at all"]
        others = _elsewhere(pinned, name)
        for tool, each in judge(listed.tools, pinned.get(name, {}), others).items():
            count += 1
            if each.state is not ToolState.OK:
                why = visible(each.why)
                drift.append(Drifted(name=f"{name}__{tool}", state=each.state.value, why=why))
    return Check(tools=count, drift=drift, problems=problems)


def _organisation(place: Place) -> Organisation:
    found = load(place.settings.config, os.environ).configuration.organisations
    name = place.organisation
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name is None or name not in found:
        raise UsageError(
            "organisation_missing",
            "the configuration has several organisations",
            help=f"name one with --organisation: {', '.join(sorted(found))}",
        )
    return found[name]


def _listed(server: ToolServer) -> Any:  # noqa: ANN401 (`app.tool_reading.Read`, loaded late)
    # Loaded only now: other commands need no engine.
    reading: Any = importlib.import_module("ringfence.app.tool_reading")
    return reading.read_server(server, os.environ)


def _elsewhere(pinned: Mapping[str, Mapping[str, ToolDefinition]], server: str) -> dict[str, str]:
    return {
        skeleton(name): f"{other}__{name}"
        for other, tools in pinned.items()
        if other != server
        for name in tools
    }


def _definitions(server: str, raws: Sequence[bytes]) -> list[ToolDefinition]:
    return [read_definition(server, raw) for raw in raws]
