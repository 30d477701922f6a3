"""Drive real clients through the plane: `python -m tests.journeys` (docs/journeys.md)."""

import argparse
import asyncio
import dataclasses
import json
import sys
import tempfile
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.journeys.calling.case import Case
from tests.journeys.calling.journey import CALLERS
from tests.journeys.calling.run import run_calls
from tests.journeys.case import CASES, DIRECT, does
from tests.journeys.claims import Driven
from tests.journeys.direct import Direct
from tests.journeys.environment import InstallError, prepare
from tests.journeys.journey import JOURNEYS, Journey
from tests.journeys.plane import Plane, PlaneError, configuration, running
from tests.journeys.report import Report
from tests.journeys.through import Through
from tests.journeys.wire import Wire, listening
from tests.postgresql import server as postgresql

from ringfence.testing.model import script
from ringfence.testing.model.serving import Running, serving

_OWN = "own"
_CONNECTIONS_EACH = 8
"""With so many connections for each worker it is as good as sure that each was given one."""


async def run_direct(journeys: Sequence[Journey], cases: Sequence[str]) -> list[Report]:
    """Every journey against the scripted model alone."""
    reports = []
    async with serving(script.default()) as provider, listening() as wire:
        wire.target = ("127.0.0.1", int(provider.url.rpartition(":")[2]))
        for journey in journeys:
            environment = await prepare(journey.folder)
            direct = Direct(journey, environment, provider, wire)
            for case in cases:
                report = Report(journey=journey.name, case=case)
                with report.timed():
                    await getattr(direct, case)(report)
                show(report)
                reports.append(report)
    return reports


async def run_through(
    journeys: Sequence[Journey], cases: Sequence[str], *, workers: int, database: str
) -> list[Report]:
    """Every journey through the plane, to the scripted model; then the plane's own account."""
    with tempfile.TemporaryDirectory(prefix="journeys-") as folder:
        async with serving(script.default()) as provider, listening() as wire:
            text = configuration(journeys, cases, provider.url)
            async with running(Path(folder), text, workers=workers, database=database) as plane:
                wire.target = ("127.0.0.1", plane.port)
                driven = [
                    await _drive(journey, case, plane, provider, wire)
                    for journey in journeys
                    for case in cases
                    if does(journey, case)
                ]
                reports = [await _check(*each) for each in driven]
                return [*reports, await _check_plane(plane, wire, workers)]


async def _drive(
    journey: Journey, case: str, plane: Plane, provider: Running, wire: Wire
) -> tuple[Through, Driven | None, Report]:
    environment = await prepare(journey.folder)
    through = Through(journey, case, plane)
    report = Report(journey=journey.name, case=case)
    driven = None
    with report.timed():
        driven = await through.drive(environment, provider, wire, report)
    print(f"drove {journey.name:24} {case:10} {report.seconds:5.1f} s", flush=True)
    return through, driven, report


async def _check(through: Through, driven: Driven | None, report: Report) -> Report:
    """All are driven first, so that the plane's window for repeats is waited for once."""
    seconds = report.seconds
    if driven is not None:
        with report.timed():
            await through.check(driven, report)
    report.seconds = seconds
    show(report)
    return report


async def _check_plane(plane: Plane, wire: Wire, workers: int) -> Report:
    """The record holds as a whole, and every worker had a part in it."""
    report = Report(journey="plane", case=f"{workers} workers")
    with report.timed():
        report.figures["record"] = await plane.verify()
        status = await plane.status()
        report.equal("workers", len(status["workers"]), workers)
        troubles = [worker["trouble"] for worker in status["workers"] if worker["trouble"]]
        report.equal("troubles", troubles, [])
        intents = await plane.events("--kind", "intent")
        logs = {intent["log"] for intent in intents}
        report.figures["requests"] = f"{len(intents)} intents in {len(logs)} logs"
        if workers > 1 and wire.connections >= workers * _CONNECTIONS_EACH:
            report.equal("logs", len(logs), workers)
    show(report)
    return report


def show(report: Report) -> None:
    """One line, and the failures beneath."""
    mark = "FAIL" if report.failures else "ok"
    requests = report.figures.get("requests", "")
    print(f"{mark:4}  {report.journey:24} {report.case:10} {report.seconds:5.1f} s  {requests}")
    for failure in report.failures:
        print(f"      {failure}")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if every claim held."""
    options = _parser().parse_args(arguments)
    if options.list:
        for each in (*JOURNEYS, *CALLERS):
            print(f"{'calls' if each in CALLERS else 'models':8}{each.name}")
        return 0
    try:
        with database(options.database) as url:
            reports = [report for run in _chosen(options, url) for report in asyncio.run(run)]
    except (InstallError, PlaneError) as error:
        print(f"cannot begin: {error}", file=sys.stderr)
        return 2
    if not reports:
        print("no such journey; try --list", file=sys.stderr)
        return 2
    if options.json:
        options.json.write_text(json.dumps([dataclasses.asdict(report) for report in reports]))
    failed = sum(1 for report in reports if report.failures)
    print(f"{len(reports) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _chosen(options: argparse.Namespace, url: str) -> Iterator[Coroutine[Any, Any, list[Report]]]:
    """The runs that the options name: of calls of models, and of calls of tools."""
    named = options.only or ()
    journeys = [each for each in JOURNEYS if not named or each.name in named]
    callers = [each for each in CALLERS if not named or each.name in named]
    cases = [case for case in CASES if not options.case or case in options.case]
    calls = [case for case in Case if not options.case or case.value in options.case]
    is_wanted = options.kind in {"", "models"} and journeys and cases
    if is_wanted and options.direct:
        yield run_direct(journeys, [case for case in cases if case in DIRECT])
    elif is_wanted:
        yield run_through(journeys, cases, workers=options.workers, database=url)
    if options.kind in {"", "calls"} and callers and calls and not options.direct:
        yield run_calls(
            callers,
            calls,
            show,
            workers=options.workers,
            database=url,
            held_s=options.held,
        )


@contextmanager
def database(given: str) -> Iterator[str]:
    """The URL of the database; of a server of our own if that is asked for."""
    if given != _OWN:
        yield given
        return
    if why := postgresql.own_missing():
        raise PlaneError(why)
    with postgresql.serving(is_durable=True) as server:
        yield server.url


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.journeys", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="may be repeated")
    parser.add_argument("--case", action="append", choices=[*CASES, *Case], help="may be repeated")
    parser.add_argument("--kind", choices=("models", "calls"), default="", help="of journeys")
    parser.add_argument(
        "--held", type=int, default=8, metavar="SECONDS", help="until a person answers a held call"
    )
    parser.add_argument("--list", action="store_true", help="name the journeys")
    parser.add_argument("--direct", action="store_true", help="without the plane")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="of the plane")
    parser.add_argument(
        "--database",
        default="",
        metavar="URL",
        help=f"PostgreSQL for the plane; `{_OWN}` starts a server for this run",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the reports there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
