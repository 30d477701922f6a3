"""Drives every client through every case of tool calls, one at a time, in one plane."""

import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from tests.journeys.calling import play, world
from tests.journeys.calling.case import Case
from tests.journeys.calling.journey import Caller
from tests.journeys.calling.through import Through, World
from tests.journeys.environment import prepare
from tests.journeys.plane import running
from tests.journeys.report import Report
from tests.journeys.wire import listening

from ringfence.testing.model import script
from ringfence.testing.model.serving import serving as serving_model
from ringfence.testing.tools.plan import Plan
from ringfence.testing.tools.serving import serving as serving_tools

_GRACE_S: Final = 4
"""A call expires so long after a person would have answered."""


async def run_calls(  # noqa: PLR0913 (what a run is made of, given once)
    callers: Sequence[Caller],
    cases: Sequence[Case],
    show: Callable[[Report], None],
    *,
    workers: int,
    database: str,
    held_s: int,
) -> list[Report]:
    """Every case of every client; `show` is told of each as it ends."""
    reports = []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="journeys-")))
        provider = await stack.enter_async_context(serving_model(script.default()))
        tools = await stack.enter_async_context(serving_tools(Plan()))
        counting = await stack.enter_async_context(
            serving_tools(Plan(eras="legacy", suffix=play.HERE))
        )
        wire = await stack.enter_async_context(listening())
        world.write_policies(folder)
        servers = await prepare("tool_servers")
        packages = servers.folder / "npm/node_modules/@modelcontextprotocol"
        text = world.configuration(
            callers,
            processes=world.processes(folder, packages),
            provider=provider.url,
            servers={play.SERVER: tools.url, play.COUNTING: counting.url},
            held_s=held_s + _GRACE_S,
        )
        plane = await stack.enter_async_context(
            running(folder, text, workers=workers, database=database)
        )
        wire.target = ("127.0.0.1", plane.port)
        around = World(
            plane=plane, provider=provider, tools=(tools, counting), wire=wire, held_s=held_s
        )
        for caller in callers:
            environment = await prepare(caller.folder)
            for case in cases:
                report = Report(journey=caller.name, case=case.value)
                with report.timed():
                    await Through(caller, case, environment, around).run(report)
                show(report)
                reports.append(report)
        report = Report(journey="plane", case="record")
        with report.timed():
            report.figures["record"] = await plane.verify()
        show(report)
        sys.stdout.flush()
        return [*reports, report]
