"""`ringfence status`: how the running plane is."""

import click
import msgspec

from ringfence.cli.connection import Connection, Place, connect_running
from ringfence.cli.option import JSON, at_installation
from ringfence.cli.terminal.moment import show_duration, show_moment
from ringfence.cli.terminal.printing import say, say_json, with_moments
from ringfence.cli.terminal.text import counted, harmless
from ringfence.domain.error import UsageError
from ringfence.domain.model import UpstreamStanding
from ringfence.transport.clock import SystemClock


class Worker(msgspec.Struct):
    """What is shown of one worker; `pid` is 0 where there is none at the moment."""

    pid: int
    epoch: int
    open_invocations: int
    connections: int
    memory_bytes: int = 0
    trouble: str = ""


class _Status(msgspec.Struct):
    version: str
    started_us: str
    epoch: int
    configuration: str
    workers: list[Worker]


@click.command("status")
@JSON
@at_installation
def status(place: Place, *, is_json: bool) -> None:
    """Show how the running plane is; exit code 3 if none runs."""
    plane = connect_running(place)
    answer = plane.get("/status")
    if is_json:
        say_json(with_moments(msgspec.json.decode(answer)))
        return
    found = msgspec.json.decode(answer, type=_Status)
    started_us = int(found.started_us)
    running = show_duration(max(0, SystemClock().now_us() - started_us))
    lines = [
        f"ringfence {found.version} is running with data folder {place.settings.data}",
        f"  since          {show_moment(started_us)} ({running})",
        f"  configuration  epoch {found.epoch}, {found.configuration[:19]}…",
        *(worker_line(each) for each in found.workers),
        *_sum(found.workers),
        *_upstreams(plane),
    ]
    say(map(harmless, lines))


_MB = 1_000_000


def _upstreams(plane: Connection) -> list[str]:
    """What fails or waits; nothing where several organisations each have their own to ask for."""
    try:
        answer = plane.get("/upstreams")
    except UsageError:
        return []
    found = msgspec.json.decode(answer, type=list[UpstreamStanding])
    return [f"  {each.kind:<14} {each.name}: {_standing(each)}" for each in found]


def _standing(each: UpstreamStanding) -> str:
    words = []
    if each.state != "closed":
        words.append(f"breaker {each.state.replace('_', ' ')}, next probe in {each.retry_s:.0f} s")
    if each.failures:
        words.append(f"{counted(each.failures, 'failure')} in a row ({each.cause})")
    words.append(f"{counted(each.going, 'call')} on the way, {each.waiting} waiting")
    return ", ".join(words)


def worker_line(worker: Worker) -> str:
    """One worker on one line."""
    if not worker.pid:
        return f"  worker         {worker.trouble}"
    runs = counted(worker.open_invocations, "open invocation")
    connections = counted(worker.connections, "connection")
    held = f"{worker.memory_bytes / _MB:.0f} MB"
    line = f"  worker         pid {worker.pid}: {runs}, {connections}, {held}"
    return f"{line}; {worker.trouble}" if worker.trouble else line


def _sum(workers: list[Worker]) -> list[str]:
    """What several workers hold in all; pages that they share are counted for each."""
    if len(workers) == 1:
        return []
    held = sum(each.memory_bytes for each in workers) / _MB
    return [f"  all workers    {held:.0f} MB"]
