"""The words of prices: what each kind of token costs, in exact integers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Prices in nano-dollars per million tokens (1 USD per million tokens = 10⁹).

    A None component is priced like its parent: cache reads and writes like input, reasoning like
    output.
    """

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Rates that hold for a whole call whose input exceeds `above_input_tokens`."""

    above_input_tokens: int
    rates: Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCard:
    """The whole price of one model.

    `bands` are sorted by threshold and add long-context rates to `rates`. `request` is a fee per
    call in nano-dollars; `hosted` maps a hosted tool's name to its fee per use in nano-dollars.
    `source` says where the price came from, for example `genai-prices 0.2.3` or `configuration`.
    """

    rates: Rates
    bands: tuple[Band, ...] = ()
    request: int = 0
    hosted: tuple[tuple[str, int], ...] = ()
    source: str = "configuration"
