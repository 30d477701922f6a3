"""`ringfence worker`: what `ringfence up --workers N` starts; of no use to anybody else."""

import importlib
import logging
import os
from typing import Any

import click


@click.command(hidden=True)
@click.option("--link", "descriptor", type=int, required=True, help="The inherited socket.")
@click.option("--log-level", default="info")
def worker(*, descriptor: int, log_level: str) -> None:
    """Be one worker of the plane that started this process."""
    # Loaded only now: they take half a second to import.
    process: Any = importlib.import_module("ringfence.app.worker_process")
    interpreter: Any = importlib.import_module("ringfence.app.interpreter")
    core_dump: Any = importlib.import_module("ringfence.transport.core_dump")
    core_dump.forbid_core_dumps()
    open_file: Any = importlib.import_module("ringfence.transport.open_file")
    open_file.allow_many_files()
    log: Any = importlib.import_module("ringfence.telemetry.log")
    log.setup(level=logging.getLevelNamesMapping()[log_level.upper()])
    with interpreter.runner() as runner:
        runner.run(process.run(descriptor, os.environ))
