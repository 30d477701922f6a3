from collections.abc import Callable

from ringfence.config.loading import Loaded
from ringfence.domain.price import Band, RateCard, Rates

HEAD = """\
format: 1
organisation: acme
providers:
  p: {protocol: openai, base_url: "http://localhost:1"}
  q: {protocol: anthropic, base_url: "http://localhost:1"}
models:
  other: {provider: p}
  claude: {provider: q}
"""
"""Eight lines, so that what a test adds begins on line 9."""


def test_what_is_wrong_with_a_price_is_named_with_its_place(
    refusal: tuple[str, list[str]], problems_of: Callable[..., list[str]]
) -> None:
    text, expected = refusal
    assert problems_of(HEAD + text) == expected


def test_dollars_per_million_tokens_become_nano_dollars_exactly(
    load_text: Callable[..., Loaded],
) -> None:
    text = """\
  m:
    provider: p
    price:
      input: 0.1
      output: 0.4
      cache_read: 0.025
      cache_write: 0.125
      cache_write_1h: 0.2
      reasoning: 0.000000001
      request: 0.012
      hosted: {web_search: 0.01}
      above: [{tokens: 200000, input: 0.2}, {tokens: 500000, output: 0.8}]
"""
    loaded = load_text(HEAD + text)
    cache = {"cache_read": 25_000_000, "cache_write": 125_000_000, "cache_write_1h": 200_000_000}
    assert loaded.configuration.organisations["acme"].models["m"].price == RateCard(
        rates=Rates(input=100_000_000, output=400_000_000, reasoning=1, **cache),
        bands=(
            Band(
                above_input_tokens=200_000,
                rates=Rates(input=200_000_000, output=400_000_000, reasoning=1, **cache),
            ),
            Band(
                above_input_tokens=500_000,
                rates=Rates(input=200_000_000, output=800_000_000, reasoning=1, **cache),
            ),
        ),
        request=12_000_000,
        hosted=(("web_search", 10_000_000),),
    )


def test_a_price_may_be_zero(load_text: Callable[..., Loaded]) -> None:
    loaded = load_text(HEAD + "  m: {provider: p, price: {input: 0, output: 0}}\n")
    price = loaded.configuration.organisations["acme"].models["m"].price
    assert price == RateCard(rates=Rates(input=0, output=0))
