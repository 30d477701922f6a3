"""Options that many commands share, and arguments that complete themselves."""

import os
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import quote

import click
import msgspec
from click.shell_completion import CompletionItem

from ringfence.cli.connection import Place, connect_running
from ringfence.config.settings import resolve
from ringfence.domain.error import RingfenceError

CONFIG = click.option(
    "--config", metavar="FILE", help="The configuration file [./ringfence.yaml, RINGFENCE_CONFIG]."
)
DATA = click.option("--data", metavar="DIR", help="The data folder [./.ringfence, RINGFENCE_DATA].")
DATABASE = click.option(
    "--database",
    metavar="URL",
    help="PostgreSQL instead of files [RINGFENCE_DATABASE]; write ${NAME} for the password.",
)
JSON = click.option("--json", "is_json", is_flag=True, help="Write JSON.")


def at_installation(command: Callable[..., object]) -> Callable[..., object]:
    """Add `--config`, `--data` and `--database`; the command gets a Place first."""

    @CONFIG
    @DATA
    @DATABASE
    @wraps(command)
    def wrapped(
        config: str | None,
        data: str | None,
        database: str | None,
        **rest: Any,  # noqa: ANN401 (the command's own)
    ) -> object:
        settings = resolve(os.environ, config=config, data=data, database=database)
        return command(Place(settings=settings), **rest)

    return wrapped


def at_organisation(command: Callable[..., object]) -> Callable[..., object]:
    """Add the options of `at_installation` and `--organisation`; the command gets a Place first."""

    @CONFIG
    @DATA
    @DATABASE
    @click.option("--organisation", metavar="NAME", help="Which one, where there are several.")
    @wraps(command)
    def wrapped(
        config: str | None,
        data: str | None,
        database: str | None,
        organisation: str | None,
        **rest: Any,  # noqa: ANN401 (the command's own)
    ) -> object:
        settings = resolve(os.environ, config=config, data=data, database=database)
        return command(Place(settings=settings, organisation=organisation), **rest)

    return wrapped


def segment(text: str) -> str:
    """A name or id as one segment of a path."""
    return quote(text, safe="")


class _Named(msgspec.Struct):
    name: str


def complete_agent(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of agents for the shell, from a running plane; none if it cannot be asked."""
    given: dict[str, Any] = context.params
    try:
        settings = resolve(os.environ, config=given.get("config"), data=given.get("data"))
        place = Place(settings=settings, organisation=given.get("organisation"))
        items = connect_running(place).listing("/agents")
    except RingfenceError:
        return []
    names = [msgspec.json.decode(item, type=_Named).name for item in items]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
