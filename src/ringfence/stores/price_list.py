"""The data of `genai-prices` as rate cards; a program of its own, since reading them is slow.

Takes a `Question` on standard input and gives an `Answer` on standard output.
"""

import datetime as dt
import re
import sys
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal
from importlib.metadata import version
from urllib.parse import urlsplit

import msgspec
from genai_prices.data import providers
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
)

from ringfence.decisions.price import dearest
from ringfence.domain.host import is_private
from ringfence.domain.model import ProviderProtocol
from ringfence.domain.money import NANO_PER_USD
from ringfence.domain.price import Band, RateCard, Rates
from ringfence.stores.price import Answer, Question, Wanted

_US_PER_S = 1_000_000

_Given = Mapping[str, Decimal | TieredPrices]

_HOMES = {
    ProviderProtocol.OPENAI: "openai",
    ProviderProtocol.ANTHROPIC: "anthropic",
    ProviderProtocol.GEMINI: "google",
}
"""Whose list prices hold behind a private address that only passes calls on."""

_MEDIA = ("audio", "video")
_OUTPUTS = ("text", "audio", "image", "video", "citation")
_TOOLS = {
    "web_searches_kcount": ("web_search", "google_search"),
    "storage_searches_kcount": ("file_search",),
    "code_executions_kcount": ("code_execution",),
    "social_searches_kcount": ("x_search",),
}
"""Fees per 1,000 uses, and the hosted tools they are for."""

_HELD = frozenset(
    {
        *(f"{kind}_mtok" for kind in ("input", "output", "cache_read", "cache_write")),
        *("cache_write_1h_mtok", "output_reasoning_mtok", "requests_kcount", *_TOOLS),
        *(f"output_{kind}_mtok" for kind in _OUTPUTS),
        *(f"input_{kind}_mtok" for kind in ("image", *_MEDIA)),
        *(f"cache_{kind}_{use}_mtok" for kind in ("image", *_MEDIA) for use in ("read", "write")),
    }
)
"""What a card can hold. Prices per character, page, message or hour make the whole unknown."""

_WITHOUT_OUTPUT = re.compile(r"embed|rerank|\bbge\b|\bgte\b|\bvoyage\b", re.IGNORECASE)
"""Models that answer without tokens; for any other a missing output price is an unknown one."""


def answer(question: Question) -> Answer:
    """Look every model up in the data of `genai-prices`."""
    now = dt.datetime.fromtimestamp(question.now_us / _US_PER_S, tz=dt.UTC)
    cards: list[RateCard | None] = []
    changes: list[dt.date] = []
    for wanted in question.wanted:
        model = _find(wanted)
        cards.append(_price(model, wanted, now.date()) if model else None)
        changes += _changes_after(model, now.date()) if model else ()
    midnights = [dt.datetime.combine(day, dt.time(), dt.UTC) for day in changes]
    until_us = min((int(day.timestamp()) * _US_PER_S for day in midnights), default=None)
    return Answer(cards=cards, until_us=until_us)


def _find(wanted: Wanted) -> ModelInfo | None:
    """By the provider that its address belongs to.

    A private address only passes calls on: there the protocol's own provider counts. A public one
    that nobody knows may charge anything, so that its prices are unknown.
    """
    at_address = [each for each in providers if re.match(each.api_pattern, wanted.base_url)]
    if not at_address and is_private(urlsplit(wanted.base_url).hostname or ""):
        at_address = [each for each in providers if each.id == _HOMES[wanted.protocol]]
    found = (each.find_model(wanted.model, all_providers=providers) for each in at_address)
    return next((model for model in found if model), None)


def _price(model: ModelInfo, wanted: Wanted, today: dt.date) -> RateCard | None:
    source = f"genai-prices {version('genai-prices')}"
    alternatives = _prices_of_day(model, today)
    if len(alternatives) > 1:
        source += ", dearest of the day"
    cards = [_card(prices, model.id, wanted, source) for prices in alternatives]
    known = [card for card in cards if card is not None]
    return dearest(known) if known and len(known) == len(cards) else None


def _prices_of_day(model: ModelInfo, today: dt.date) -> list[ModelPrice]:
    """Every price that can hold at some time of the day: the last one whose condition is met."""
    if isinstance(model.prices, ModelPrice):
        return [model.prices]
    found: list[ModelPrice] = []
    for each in reversed(model.prices):
        if isinstance(each.constraint, StartDateConstraint):
            if each.constraint.start_date > today:
                continue
        elif each.constraint is not None:
            found.append(each.prices)
            continue
        return [*found, each.prices]
    return found + [each.prices for each in model.prices[:1]]


def _changes_after(model: ModelInfo, today: dt.date) -> list[dt.date]:
    if isinstance(model.prices, ModelPrice):
        return []
    constraints = [each.constraint for each in model.prices]
    dates = [each.start_date for each in constraints if isinstance(each, StartDateConstraint)]
    return [date for date in dates if date > today]


def _card(prices: ModelPrice, model: str, wanted: Wanted, source: str) -> RateCard | None:
    """Turn one price into a card; None if it has a part that a card cannot hold."""
    given = {key: value for key, value in vars(prices).items() if value is not None}
    if "output_mtok" not in given and "input_mtok" in given and _WITHOUT_OUTPUT.search(model):
        given["output_mtok"] = given["input_mtok"]
    if not {"input_mtok", "output_mtok"} <= given.keys() or not given.keys() <= _HELD:
        return None
    tiered = [value for value in given.values() if isinstance(value, TieredPrices)]
    starts = sorted({tier.start for value in tiered for tier in value.tiers})
    return RateCard(
        rates=_rates(given, wanted, 0),
        bands=tuple(
            Band(above_input_tokens=start, rates=_rates(given, wanted, start + 1))
            for start in starts
        ),
        request=_fee(given, "requests_kcount") or 0,
        hosted=tuple(
            (tool, fee)
            for key, tools in _TOOLS.items()
            if (fee := _fee(given, key)) is not None
            for tool in tools
        ),
        source=source,
    )


def _rates(given: _Given, wanted: Wanted, input_tokens: int) -> Rates:
    kinds = (*("image",) * wanted.has_images, *_MEDIA * wanted.has_media)

    def most(keys: Iterable[str]) -> int | None:
        found = [_rate(given[key], input_tokens) for key in keys if key in given]
        return max(found, default=None)

    text_output = _rate(given["output_mtok"], input_tokens)
    output = most(("output_mtok", *(f"output_{kind}_mtok" for kind in _OUTPUTS))) or 0
    reasoning = most(("output_reasoning_mtok",))
    return Rates(
        input=most(("input_mtok", *(f"input_{kind}_mtok" for kind in kinds))) or 0,
        output=output,
        cache_read=most(("cache_read_mtok", *(f"cache_{kind}_read_mtok" for kind in kinds))),
        cache_write=most(("cache_write_mtok", *(f"cache_{kind}_write_mtok" for kind in kinds))),
        cache_write_1h=most(("cache_write_1h_mtok",)),
        reasoning=text_output if reasoning is None and text_output < output else reasoning,
    )


def _rate(price: Decimal | TieredPrices, input_tokens: int) -> int:
    """Nano-dollars per million tokens for a call of that much input; finer ones are rounded up."""
    if isinstance(price, TieredPrices):
        met = [tier.price for tier in price.tiers if input_tokens > tier.start]
        price = met[-1] if met else price.base
    return _round_up(price * NANO_PER_USD)


def _fee(given: _Given, key: str) -> int | None:
    """Nano-dollars per use, of a price per thousand uses."""
    price = given.get(key)
    return _rate(price / 1000, 0) if isinstance(price, Decimal) else None


def _round_up(amount: Decimal) -> int:
    return int(amount.to_integral_value(rounding=ROUND_CEILING))


def main() -> None:
    """Answer one question: JSON on standard input and output."""
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    sys.stdout.buffer.write(msgspec.json.encode(answer(question)))


if __name__ == "__main__":
    main()
