"""`ringfence status`: how the running plane is."""

import click
import msgspec

from ringfence.cli.connection import Place, connect_running
from ringfence.cli.option import JSON, at_installation
from ringfence.cli.terminal.moment import show_duration, show_moment
from ringfence.cli.terminal.printing import say, say_json, with_moments
from ringfence.cli.terminal.text import harmless
from ringfence.transport.clock import SystemClock


class _Worker(msgspec.Struct):
    pid: int
    epoch: int
    open_invocations: int
    connections: int


class _Status(msgspec.Struct):
    version: str
    started_us: str
    epoch: int
    configuration: str
    workers: list[_Worker]


@click.command("status")
@JSON
@at_installation
def status(place: Place, *, is_json: bool) -> None:
    """Show how the running plane is; exit code 3 if none runs."""
    answer = connect_running(place).get("/status")
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
        *(
            f"  worker         pid {each.pid}: {each.open_invocations} open invocations, "
            f"{each.connections} connections"
            for each in found.workers
        ),
    ]
    say(map(harmless, lines))
