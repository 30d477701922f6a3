"""Compares the rate cards with what `genai-prices` itself calculates.

The data are read by two children only, so that no other test finds them loaded.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from functools import cache

import msgspec
import pytest

from ringfence.decisions.price import cost
from ringfence.domain.model import ProviderProtocol
from ringfence.domain.price import RateCard
from ringfence.domain.usage import Usage
from ringfence.stores.price import Answer, Question, Wanted

NOVEMBER_2026_US = 1_795_000_000_000_000
"""18 November 2026, noon UTC, between two changes of price of several models below."""

OPENAI = "https://api.openai.com/v1"
ANTHROPIC = "https://api.anthropic.com"
GEMINI = "https://generativelanguage.googleapis.com"

MODELS: Mapping[tuple[ProviderProtocol, str], str] = {
    (ProviderProtocol.OPENAI, OPENAI): (
        "gpt-3.5-turbo gpt-4 gpt-4-turbo gpt-4.1 gpt-4.1-mini gpt-4.1-nano gpt-4o gpt-4o-mini gpt-5"
        " gpt-5-mini gpt-5-nano gpt-5-pro gpt-5.1 gpt-5.2 gpt-5.3-codex gpt-5.4 gpt-5.4-pro gpt-5.5"
        " gpt-5.6-luna gpt-5.6-sol gpt-5.6-terra o1 o3 o3-mini o4-mini text-embedding-3-small"
    ),
    (ProviderProtocol.ANTHROPIC, ANTHROPIC): (
        "claude-3-5-haiku-latest claude-3-haiku-20240307 claude-haiku-4-5 claude-haiku-5-5"
        " claude-opus-4-1 claude-opus-4-5-20251101 claude-opus-4-6 claude-opus-5 claude-sonnet-4-0"
        " claude-sonnet-4-5-20250929 claude-sonnet-4-6 claude-sonnet-5 claude-sonnet-5-5"
    ),
    (ProviderProtocol.GEMINI, GEMINI): (
        "gemini-2.0-flash gemini-2.5-flash gemini-2.5-flash-lite gemini-2.5-pro"
        " gemini-3-flash-preview gemini-3-pro-preview gemini-3.6-flash gemini-embedding-001"
    ),
    (ProviderProtocol.OPENAI, "https://acme.openai.azure.com/openai"): "gpt-5 gpt-4.1-mini",
    (ProviderProtocol.OPENAI, "https://api.perplexity.ai"): "sonar sonar-pro",
    (ProviderProtocol.OPENAI, "https://api.groq.com/openai/v1"): "llama-3.3-70b-versatile",
    (ProviderProtocol.OPENAI, "https://api.mistral.ai/v1"): "mistral-large-4 mistral-small-latest",
    (ProviderProtocol.OPENAI, "https://openrouter.ai/api/v1"): "openai/gpt-5.1 z-ai/glm-4.6",
}

USAGES: Sequence[Usage] = (
    Usage(input_tokens=8000, output_tokens=0),
    Usage(input_tokens=1, output_tokens=1),
    Usage(input_tokens=1234, output_tokens=567),
    Usage(input_tokens=9000, output_tokens=77, cache_read_tokens=4001),
    Usage(input_tokens=100_000, output_tokens=11),
    Usage(input_tokens=100_001, output_tokens=11, cache_read_tokens=50_000),
    Usage(input_tokens=300_001, output_tokens=2003, cache_read_tokens=7),
    Usage(input_tokens=9000, output_tokens=5, cache_read_tokens=1000, cache_write_tokens=3001),
    Usage(input_tokens=9000, output_tokens=5, cache_write_tokens=3001, cache_write_1h_tokens=1003),
    Usage(input_tokens=50, output_tokens=900, reasoning_tokens=333),
    Usage(input_tokens=50, output_tokens=9, hosted_uses={"web_search": 3}),
)

CALCULATE = """
import datetime, json, sys
from genai_prices import Usage, calc_price
given = json.load(sys.stdin)
now = datetime.datetime.fromtimestamp(given["now_s"], datetime.UTC)
prices = [
    str(calc_price(Usage(**usage), model, provider_api_url=url, genai_request_timestamp=now)
        .total_price)
    for url, model, usage in given["calls"]
]
json.dump(prices, sys.stdout)
"""


def ask(wanted: Sequence[Wanted], now_us: int = NOVEMBER_2026_US) -> Answer:
    question = msgspec.json.encode(Question(now_us=now_us, wanted=wanted))
    child = [sys.executable, "-m", "ringfence.stores.price_list"]
    done = subprocess.run(  # noqa: S603 (this interpreter and this package)
        child, input=question, capture_output=True, check=True
    )
    return msgspec.json.decode(done.stdout, type=Answer)


def calculate(calls: Sequence[tuple[str, str, Usage]], now_us: int) -> list[Decimal]:
    """What the package says that these calls cost, in US dollars."""
    given = {
        "now_s": now_us / 10**6,
        "calls": [(url, model, _as_theirs(usage)) for url, model, usage in calls],
    }
    child = [sys.executable, "-c", CALCULATE]
    done = subprocess.run(  # noqa: S603 (this interpreter and this package)
        child, input=json.dumps(given).encode(), capture_output=True, check=True
    )
    return [Decimal(price) for price in json.loads(done.stdout)]


def _as_theirs(usage: Usage) -> dict[str, int]:
    counts = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "output_reasoning_tokens": usage.reasoning_tokens,
        "web_searches": usage.hosted_uses.get("web_search", 0),
    }
    return {name: count for name, count in counts.items() if count}


def openai(model: str, url: str = OPENAI) -> Wanted:
    return Wanted(protocol=ProviderProtocol.OPENAI, base_url=url, model=model)


def gemini(model: str, *, has_images: bool = False, has_media: bool = False) -> Wanted:
    return Wanted(
        protocol=ProviderProtocol.GEMINI,
        base_url=GEMINI,
        model=model,
        has_images=has_images,
        has_media=has_media,
    )


@cache
def cards() -> Mapping[Wanted, RateCard | None]:
    """One child for all tests of single cards."""
    wanted = [
        *(Wanted(protocol=protocol, base_url=url, model=model) for protocol, url, model in _all()),
        *map(openai, OTHERS),
        *(openai(model, url) for model, url in ADDRESSED),
        *(gemini(model) for model in MULTIMODAL),
        *(gemini(model, has_media=True) for model in MULTIMODAL),
        *(gemini(model, has_images=True) for model in MULTIMODAL),
    ]
    return dict(zip(wanted, ask(wanted).cards, strict=True))


def _all() -> list[tuple[ProviderProtocol, str, str]]:
    return [
        (protocol, url, model)
        for (protocol, url), names in MODELS.items()
        for model in names.split()
    ]


OTHERS = ("no-such-model", "tts-1", "whisper-1", "gpt-live-1", "gpt-audio", "gpt-realtime")
ADDRESSED = (
    ("gpt-5-mini", "http://127.0.0.1:8000/v1"),
    ("gpt-5-mini", "http://proxy.internal/v1"),
    ("gpt-5-mini", "https://reseller.example/v1"),
    ("gpt-5-mini", "https://eu.api.openai.com/v1"),
    ("claude-sonnet-5", "http://127.0.0.1:8000/v1"),
    ("claude-sonnet-5", "https://api.openai.com/v1"),
    ("deepseek-v4-flash", "https://api.deepseek.com"),
)
MULTIMODAL = ("gemini-2.5-flash", "gemini-embedding-2", "gemini-3-pro-image-preview")


def test_cards_give_what_the_package_calculates_to_the_nano_dollar() -> None:
    calls = [
        (Wanted(protocol=protocol, base_url=url, model=model), usage)
        for protocol, url, model in _all()
        for usage in USAGES
        if "embedding" not in model or usage.output_tokens == 0
    ]
    theirs = calculate([(w.base_url, w.model, usage) for w, usage in calls], NOVEMBER_2026_US)
    different = [
        (wanted.model, usage, price, ours)
        for (wanted, usage), price in zip(calls, theirs, strict=True)
        if (ours := _cost(wanted, usage)) != _nano(price)
    ]
    assert different == []
    assert len(calls) > 500


def _cost(wanted: Wanted, usage: Usage) -> int:
    card = cards()[wanted]
    assert card is not None, wanted.model
    if "web_search" not in dict(card.hosted):
        # They charge nothing for uses whose fee they do not know.
        usage = msgspec.structs.replace(usage, hosted_uses={})
    return cost(card, usage)


def _nano(usd: Decimal) -> int:
    return int((usd * 10**9).to_integral_value(rounding=ROUND_CEILING))


@pytest.mark.parametrize("model", OTHERS[:4])
def test_what_is_not_priced_by_tokens_alone_is_unknown(model: str) -> None:
    assert cards()[openai(model)] is None


@pytest.mark.parametrize(("model", "url"), ADDRESSED[:2])
def test_behind_a_private_address_the_list_price_holds(model: str, url: str) -> None:
    assert cards()[openai(model, url)] == cards()[openai(model)]


@pytest.mark.parametrize(("model", "url"), ADDRESSED[2:6])
def test_what_another_seller_charges_is_unknown(model: str, url: str) -> None:
    assert cards()[openai(model, url)] is None


def test_a_price_by_the_hour_is_the_dearest_of_the_day() -> None:
    wanted = openai("deepseek-v4-flash", "https://api.deepseek.com")
    card = cards()[wanted]
    assert card is not None
    assert card.source.endswith("dearest of the day")
    usage = Usage(input_tokens=5000, output_tokens=300, cache_read_tokens=1000)
    call = (wanted.base_url, wanted.model, usage)
    hours = [
        calculate([call], NOVEMBER_2026_US + hour * 3600 * 10**6)[0] for hour in range(0, 24, 6)
    ]
    assert cost(card, usage) >= max(hours) * 10**9
    peak_us = NOVEMBER_2026_US // (86400 * 10**6) * (86400 * 10**6) + 2 * 3600 * 10**6
    assert cost(card, usage) == calculate([call], peak_us)[0] * 10**9


def test_input_that_may_be_media_costs_the_most_of_what_it_may_be() -> None:
    text, media = (
        cards()[gemini("gemini-2.5-flash")],
        cards()[gemini("gemini-2.5-flash", has_media=True)],
    )
    assert text is not None
    assert media is not None
    assert (text.rates.input, text.rates.cache_read) == (300_000_000, 30_000_000)
    assert (media.rates.input, media.rates.cache_read) == (1_000_000_000, 100_000_000)


def test_images_and_other_media_are_told_apart() -> None:
    found = [
        cards()[gemini("gemini-embedding-2")],
        cards()[gemini("gemini-embedding-2", has_images=True)],
        cards()[gemini("gemini-embedding-2", has_media=True)],
    ]
    assert [card and card.rates.input for card in found] == [
        200_000_000,
        450_000_000,
        12_000_000_000,
    ]


def test_output_that_may_be_an_image_costs_as_much_and_reasoning_does_not() -> None:
    card = cards()[gemini("gemini-3-pro-image-preview")]
    assert card is not None
    assert card.rates.output == 120_000_000_000
    assert card.rates.reasoning == 12_000_000_000


def test_a_fee_per_request_and_per_search_is_read() -> None:
    sonar = cards()[openai("sonar", "https://api.perplexity.ai")]
    assert sonar is not None
    assert sonar.request == 12_000_000
    claude = cards()[
        Wanted(protocol=ProviderProtocol.ANTHROPIC, base_url=ANTHROPIC, model="claude-sonnet-5")
    ]
    assert claude is not None
    assert dict(claude.hosted)["web_search"] == 10_000_000


def test_the_price_of_the_day_holds_and_its_end_is_told() -> None:
    model = gemini("gemini-3.6-flash")
    today = ask([model, openai("gpt-5")])
    assert today.until_us == 1_798_761_600_000_000  # 1 January 2027, 00:00 UTC
    later = ask([model], today.until_us)
    assert later.until_us is None
    usage = Usage(input_tokens=10_000, output_tokens=100)
    for answer, now_us in ((today, NOVEMBER_2026_US), (later, 1_798_761_600_000_000)):
        card = answer.cards[0]
        assert card is not None
        price = calculate([(GEMINI, model.model, usage)], now_us)[0]
        assert cost(card, usage) == price * 10**9
