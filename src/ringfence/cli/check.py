"""`ringfence check`: judge the configuration without using it."""

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from ringfence.cli.connection import Place
from ringfence.cli.option import JSON, at_installation
from ringfence.cli.terminal.printing import progress, say, say_json
from ringfence.cli.terminal.style import Style
from ringfence.cli.terminal.table import Column, table
from ringfence.cli.terminal.text import harmless
from ringfence.config.problem import ConfigurationError, Problem
from ringfence.domain.model import Model
from ringfence.domain.money import Money, format_usd
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.price import RateCard
from ringfence.transport.clock import SystemClock

_NO_PRICE = "unknown: calls are refused; give a `price` or a `ceiling`"


@click.command("check")
@JSON
@at_installation
def check(place: Place, *, is_json: bool) -> None:
    """Judge the configuration without using it.

    Problems end with exit code 2; notes are worth a look and stop nothing.
    """
    # Loaded only now, so that `check --help` need not wait for the stores.
    configuration: Any = importlib.import_module("ringfence.app.configuration")
    with progress("looking up published prices"):
        prepared = configuration.prepare(place.settings, os.environ, SystemClock().now_us())
    unmet = importlib.import_module("ringfence.app.secret_fit").unmet
    problems = unmet(place.settings, os.environ, prepared)
    if problems:
        raise ConfigurationError(problems)
    if is_json:
        say_json(_document(prepared.configuration, prepared.notes))
        return
    style = Style.of(sys.stdout)
    say([f"{style.good('good')}  {harmless(str(place.settings.config))}"])
    for organisation in prepared.configuration.organisations.values():
        say(_organisation_lines(organisation, style))
    say(_note_lines(prepared.notes, style))


def _organisation_lines(organisation: Organisation, style: Style) -> Iterator[str]:
    counts = [
        _count(len(organisation.agents), "agent"),
        _count(len(organisation.models), "model"),
        _count(len(organisation.providers), "provider"),
        _count(len(organisation.users), "user"),
    ]
    yield ""
    yield f"{style.bold(harmless(organisation.name))}  {', '.join(counts)}"
    agents = [
        (each.name, each.owner, each.category.value, ", ".join(sorted(each.scope.models)))
        for each in organisation.agents.values()
    ]
    if agents:
        headings = ("OWNER", "CATEGORY", "MODELS")
        columns = [Column("AGENT", paint=style.name), *(Column(each) for each in headings)]
        yield ""
        yield from table(columns, agents, style)
    if organisation.models:
        columns = [
            Column("MODEL", paint=style.name),
            Column("LEADS TO"),
            Column("IN/M", is_right=True),
            Column("OUT/M", is_right=True),
            Column("PRICE FROM"),
        ]
        yield ""
        yield from table(
            columns, [_model_row(each) for each in organisation.models.values()], style
        )


def _model_row(model: Model) -> Sequence[str]:
    leads_to = f"{model.provider}/{model.upstream}"
    card = _card(model)
    if card is None:
        return (model.name, leads_to, "", "", _NO_PRICE)
    rates = (format_usd(Money(card.rates.input)), format_usd(Money(card.rates.output)))
    return (model.name, leads_to, *rates, card.source)


def _note_lines(notes: Sequence[Problem], style: Style) -> Iterator[str]:
    if notes:
        yield ""
        yield style.warning(_count(len(notes), "note"))
    for note in notes:
        yield from (f"  {harmless(line)}" for line in note.render().split("\n"))


def _document(configuration: Configuration, notes: Sequence[Problem]) -> object:
    return {
        "configuration": configuration.digest,
        "organisations": [
            {
                "name": organisation.name,
                "agents": sorted(organisation.agents),
                "models": [
                    {
                        "name": model.name,
                        "provider": model.provider,
                        "upstream": model.upstream,
                        "price_source": None if (card := _card(model)) is None else card.source,
                    }
                    for model in organisation.models.values()
                ],
            }
            for organisation in configuration.organisations.values()
        ],
        "notes": [
            {
                "file": note.place.file,
                "line": note.place.line,
                "column": note.place.column,
                "what": note.what,
                "help": note.help,
            }
            for note in notes
        ],
    }


def _card(model: Model) -> RateCard | None:
    return model.price or model.ceiling


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
