"""Prices of model calls: what a call cost, and the most that it can cost; exact integers."""

from collections.abc import Mapping, Sequence

from ringfence.domain.money import Money
from ringfence.domain.price import Band, RateCard, Rates
from ringfence.domain.usage import Usage

PER_MILLION = 1_000_000
UNBOUNDED_TOKENS = 2**53 - 1
"""What is affordable where output costs nothing; the largest integer that JSON carries exactly."""

_NO_USES: Mapping[str, int] = {}


def cost(card: RateCard, usage: Usage) -> Money:
    """The price of a call, rounded up once to a whole nano-dollar.

    Counts that contradict each other are read the dear way: parts that exceed their whole raise it.
    """
    cached, written = usage.cache_read_tokens, usage.cache_write_tokens
    written_1h = usage.cache_write_1h_tokens
    written = max(written, written_1h)
    input_tokens = max(usage.input_tokens, cached + written)
    reasoning = usage.reasoning_tokens
    rates = _rates_for(card, input_tokens)
    output_rate, input_rate = rates.output, rates.input
    total = (
        (input_tokens - cached - written) * input_rate
        + max(usage.output_tokens - reasoning, 0) * output_rate
        + card.request * PER_MILLION
    )
    if cached:
        total += cached * _or(rates.cache_read, input_rate)
    if written:
        write_rate = _or(rates.cache_write, input_rate)
        total += (written - written_1h) * write_rate
        total += written_1h * _or(rates.cache_write_1h, write_rate)
    if reasoning:
        total += reasoning * _or(rates.reasoning, output_rate)
    if usage.hosted_uses:
        total += _hosted(card, usage.hosted_uses)
    return _round_up(total)


def worst_case(
    card: RateCard,
    input_tokens: int,
    output_tokens: int,
    answers: int = 1,
    hosted_uses: Mapping[str, int] = _NO_USES,
) -> Money:
    """The most that a call within these bounds can cost, whatever is cached, written or reasoned.

    `output_tokens` is the limit of each answer. Input counts once and output once per answer, as
    providers bill it: OpenAI's reference on `n` charges "the number of generated tokens across all
    of the choices"; Gemini's `candidatesTokenCount` is the total over candidates.
    """
    input_rate, output_rate = _dearest_rates(card, input_tokens)
    total = (
        input_tokens * input_rate
        + output_tokens * answers * output_rate
        + card.request * PER_MILLION
    )
    if hosted_uses:
        total += _hosted(card, hosted_uses)
    return _round_up(total)


def affordable_output_tokens(
    card: RateCard,
    money_left: Money,
    input_tokens: int,
    answers: int = 1,
    hosted_uses: Mapping[str, int] = _NO_USES,
) -> int:
    """The largest output limit whose worst case fits in `money_left`; -1 if not even 0 fits."""
    input_rate, output_rate = _dearest_rates(card, input_tokens)
    left = (money_left - card.request) * PER_MILLION - input_tokens * input_rate
    if hosted_uses:
        left -= _hosted(card, hosted_uses)
    if left < 0:
        return -1
    per_token = output_rate * answers
    return min(left // per_token, UNBOUNDED_TOKENS) if per_token else UNBOUNDED_TOKENS


def dearest(cards: Sequence[RateCard]) -> RateCard:
    """One card that is nowhere cheaper than any of these: the worst case over a whole route.

    Compile it once per route; a call that may fall back to any of its models is reserved at it.
    """
    if len(cards) == 1:
        return cards[0]
    thresholds = sorted({band.above_input_tokens for card in cards for band in card.bands})
    fees: dict[str, int] = {}
    for card in cards:
        for name, fee in card.hosted:
            fees[name] = max(fee, fees.get(name, 0))
    return RateCard(
        rates=_envelope([card.rates for card in cards]),
        bands=tuple(
            Band(
                above_input_tokens=threshold,
                rates=_envelope([_rates_for(card, threshold + 1) for card in cards]),
            )
            for threshold in thresholds
        ),
        request=max(card.request for card in cards),
        hosted=tuple(sorted(fees.items())),
        source=" or ".join(dict.fromkeys(card.source for card in cards)),
    )


def dearest_uses(card: RateCard, names: Sequence[str], uses: int) -> Mapping[str, int]:
    """Of so many uses of the named hosted tools together, those that cost the most."""
    if not names:
        return _NO_USES
    fees = dict(card.hosted)
    return {max(names, key=lambda name: fees.get(name, 0)): uses}


def unpriced_hosted_tools(card: RateCard, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the named hosted tools that the card gives no fee for."""
    known = {name for name, _ in card.hosted}
    return tuple(name for name in names if name not in known)


def _rates_for(card: RateCard, input_tokens: int) -> Rates:
    """The last band whose threshold the input exceeds holds for the whole call."""
    rates = card.rates
    for band in card.bands:
        if input_tokens <= band.above_input_tokens:
            break
        rates = band.rates
    return rates


def _dearest_rates(card: RateCard, input_tokens: int) -> tuple[int, int]:
    """The highest rate that any token of input, and any of output, can meet up to this input.

    A shorter input than the bound meets a lower band, so every band up to the bound counts.
    """
    input_rate, output_rate = _peak(card.rates)
    for band in card.bands:
        if input_tokens <= band.above_input_tokens:
            break
        band_input, band_output = _peak(band.rates)
        input_rate = max(input_rate, band_input)
        output_rate = max(output_rate, band_output)
    return input_rate, output_rate


def _peak(rates: Rates) -> tuple[int, int]:
    input_rate, output_rate = rates.input, rates.output
    for rate in (rates.cache_read, rates.cache_write, rates.cache_write_1h):
        if rate is not None and rate > input_rate:
            input_rate = rate
    if rates.reasoning is not None and rates.reasoning > output_rate:
        output_rate = rates.reasoning
    return input_rate, output_rate


def _envelope(all_rates: Sequence[Rates]) -> Rates:
    writes = [_or(rates.cache_write, rates.input) for rates in all_rates]
    return Rates(
        input=max(rates.input for rates in all_rates),
        output=max(rates.output for rates in all_rates),
        cache_read=max(_or(rates.cache_read, rates.input) for rates in all_rates),
        cache_write=max(writes),
        cache_write_1h=max(
            _or(rates.cache_write_1h, write) for rates, write in zip(all_rates, writes, strict=True)
        ),
        reasoning=max(_or(rates.reasoning, rates.output) for rates in all_rates),
    )


def _hosted(card: RateCard, uses: Mapping[str, int]) -> int:
    """Fees of hosted tools, in nano-dollars per million.

    A tool without a stated fee costs the dearest stated one: an unknown cost is never zero.
    """
    fees = dict(card.hosted)
    dear = max(fees.values(), default=0)
    return PER_MILLION * sum(count * fees.get(name, dear) for name, count in uses.items())


def _or(rate: int | None, parent: int) -> int:
    return parent if rate is None else rate


def _round_up(total: int) -> Money:
    return Money(-(-total // PER_MILLION))
