"""`ringfence init`: write a configuration to start from."""

from pathlib import Path

import click

from ringfence.cli.terminal.printing import hint, say
from ringfence.cli.terminal.text import harmless
from ringfence.config.settings import DEFAULT_CONFIG
from ringfence.config.starter import write_starter


@click.command()
@click.argument("file", default=DEFAULT_CONFIG)
def init(file: str) -> None:
    """Write a commented configuration to FILE (./ringfence.yaml) and leave nothing else behind."""
    path = Path(file)
    write_starter(path)
    say([harmless(f"wrote {path}")])
    option = "" if path == Path(DEFAULT_CONFIG) else f" --config {path}"
    hint(
        f"edit it, judge it with `ringfence check{option}`, then start with `ringfence up{option}`"
    )
