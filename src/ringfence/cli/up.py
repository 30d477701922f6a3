"""`ringfence up`: start the plane and serve until it is told to stop."""

import asyncio
import logging
import os
import sys

import click

from ringfence.app.configuration import Prepared
from ringfence.app.plane import Plane, run
from ringfence.config.settings import resolve
from ringfence.telemetry import log

_LOG = logging.getLogger(__name__)


@click.command()
@click.option("--config", metavar="FILE", help="The configuration file (./ringfence.yaml).")
@click.option("--data", metavar="DIR", help="The data folder (./.ringfence).")
@click.option("--host", help="Address of the data plane, where agents connect (127.0.0.1).")
@click.option("--port", type=int, help="Port of the data plane (8484; 0 picks one).")
@click.option("--console-host", help="Address of the control plane (127.0.0.1).")
@click.option("--console-port", type=int, help="Port of the control plane (8485; 0 picks one).")
@click.option("--workers", type=int, help="Worker processes (1).")
@click.option("--database", metavar="URL", help="State, budgets and ledger elsewhere than SQLite.")
@click.option("--tls-cert", metavar="FILE", help="Serve TLS with this certificate (PEM).")
@click.option("--tls-key", metavar="FILE", help="The certificate's key (PEM).")
@click.option("--insecure", is_flag=True, help="Serve other machines without TLS.")
def up(**options: str | int | bool | None) -> None:
    """Start the plane."""
    log.setup()
    settings = resolve(os.environ, **options)  # type: ignore[arg-type] # click checks the types
    with _runner() as runner:
        runner.run(run(settings, os.environ, _ready))


def _ready(plane: Plane, prepared: Prepared) -> None:
    for note in prepared.notes:
        _LOG.warning("configuration: %s", note)
    _LOG.info("ready", extra={"data_port": plane.port, "control_port": plane.control_port})


def _runner() -> "asyncio.Runner":
    if sys.platform == "win32":
        return asyncio.Runner()
    import uvloop  # noqa: PLC0415 (not there on Windows)

    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
