"""`ringfence doctor`: look for what could keep the plane from working."""

import importlib
import os
import sys
from typing import Any

import click

from ringfence.cli.option import CONFIG, DATA, DATABASE, JSON
from ringfence.cli.terminal.printing import progress, say, say_json
from ringfence.cli.terminal.style import Style
from ringfence.cli.terminal.text import harmless
from ringfence.config.settings import resolve

_DOES_NOT_HOLD = 1


@click.command("doctor")
@CONFIG
@DATA
@DATABASE
@click.option("--port", type=int, help="Port of the data plane [8484].")
@click.option("--console-port", type=int, help="Port of the control plane [8485].")
@click.option("--network", "is_network", is_flag=True, help="Also try to reach every provider.")
@JSON
def doctor(  # noqa: PLR0913 (one for each option)
    *,
    config: str | None,
    data: str | None,
    database: str | None,
    port: int | None,
    console_port: int | None,
    is_network: bool,
    is_json: bool,
) -> int:
    """Look for what could keep the plane from working; exit code 1 if something would."""
    settings = resolve(
        os.environ,
        config=config,
        data=data,
        database=database,
        port=port,
        console_port=console_port,
    )
    # Loaded only now: it reads stores and configuration, which takes a while to import.
    examination: Any = importlib.import_module("ringfence.cli.doctor.examination")
    with progress("examining"):
        findings = examination.examine(settings, os.environ, is_network=is_network)
    if is_json:
        say_json(findings)
    else:
        style = Style.of(sys.stdout)
        paints = {"ok": style.good, "note": style.warning, "bad": style.bad}
        for found in findings:
            say([f"{paints[found.level](f'{found.level:<4}')}  {harmless(found.what)}"])
            say(f"      {harmless(line)}" for line in found.help.split("\n") if line)
    return _DOES_NOT_HOLD if any(found.level == "bad" for found in findings) else 0
