"""`ringfence up`: start the plane and serve until it is told to stop."""

import importlib
import os
from typing import Any

import click

from ringfence.api import local
from ringfence.cli.option import CONFIG, DATA, DATABASE
from ringfence.config.settings import resolve

_LEVELS = ("debug", "info", "warning", "error")


@click.command()
@CONFIG
@DATA
@click.option("--host", help="Address of the data plane, where agents connect [127.0.0.1].")
@click.option("--port", type=int, help="Port of the data plane [8484; 0 picks one].")
@click.option("--console-host", help="Address of the control plane [127.0.0.1].")
@click.option("--console-port", type=int, help="Port of the control plane [8485; 0 picks one].")
@click.option("--workers", type=int, help="Worker processes, one for each core [1].")
@DATABASE
@click.option("--tls-cert", metavar="FILE", help="Serve TLS with this certificate (PEM).")
@click.option("--tls-key", metavar="FILE", help="The certificate's key (PEM).")
@click.option("--insecure", is_flag=True, help="Serve other machines without TLS.")
@click.option("--signing-key", metavar="FILE", help="Key that signs checkpoints [in the data].")
@click.option(
    "--witness", metavar="FILE|URL", multiple=True, help="Copy checkpoints there; may be repeated."
)
@click.option(
    "--memory-mb", type=int, metavar="N", help="MiB that calls may hold in each worker [512]."
)
@click.option(
    "--memory-mb-per-credential", type=int, metavar="N", help="The same for one credential [128]."
)
@click.option(
    "--calls-per-credential", type=int, metavar="N", help="Calls on their way in a worker [256]."
)
@click.option("--log-level", type=click.Choice(_LEVELS), default="info", show_default=True)
def up(*, log_level: str, **options: Any) -> None:  # noqa: ANN401 (as `resolve` takes them)
    """Start the plane and serve until Ctrl-C or SIGTERM; SIGHUP reloads the configuration.

    An agent that runs as your own user, outside a sandbox, could read what the plane keeps: run
    agents that you do not trust as another user.
    """
    settings = resolve(os.environ, **options)
    local.check_unused(settings.data)
    # Loaded only now: the whole plane takes half a second to import.
    serving: Any = importlib.import_module("ringfence.cli.serving")
    serving.serve(settings, log_level)
