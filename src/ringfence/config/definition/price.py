"""Prices as people write them: US dollars per million tokens, per call and per hosted-tool use."""

from ringfence.config.definition import amount
from ringfence.config.section import Section
from ringfence.config.tree import Items
from ringfence.domain.price import Band, RateCard, Rates

_NOTHING = Rates(input=0, output=0)


def read(section: Section, key: str) -> RateCard | None:
    """Read `price` or `ceiling`; None if it is not there."""
    inner = section.section(key, f"the {key} of {section.where}", f"{key}: {{input: 1, output: 2}}")
    if inner is None:
        return None
    inner.require("input", "output")
    rates = _read_rates(inner, _NOTHING)
    card = RateCard(
        rates=rates,
        bands=_read_bands(inner, rates),
        request=amount.read(inner, "request") or 0,
        hosted=_read_hosted(inner),
        source=f"configuration ({key})" if key != "price" else "configuration",
    )
    inner.close()
    return card


def _read_rates(section: Section, below: Rates) -> Rates:
    """Read rates; what a band leaves out is as in the rates `below` it."""

    def rate(key: str, default: int | None) -> int | None:
        value = amount.read(section, key)
        return default if value is None else value

    return Rates(
        input=rate("input", below.input) or 0,
        output=rate("output", below.output) or 0,
        cache_read=rate("cache_read", below.cache_read),
        cache_write=rate("cache_write", below.cache_write),
        cache_write_1h=rate("cache_write_1h", below.cache_write_1h),
        reasoning=rate("reasoning", below.reasoning),
    )


def _read_bands(section: Section, rates: Rates) -> tuple[Band, ...]:
    node = section.node("above")
    if node is None:
        return ()
    if not isinstance(node, Items):
        what = f"`above` in {section.where} must be a list"
        section.problem(node.place, what, "write `above: [{tokens: 200000, input: 6}]`")
        return ()
    bands: list[Band] = []
    for element in node.items:
        inner = Section(element, f"`above` in {section.where}", section.reading)
        inner.require("tokens")
        tokens = inner.whole("tokens", least=1)
        if tokens is None:
            continue
        if bands and tokens <= bands[-1].above_input_tokens:
            what = f"`above` in {section.where} is not in ascending order"
            inner.problem(inner.at("tokens"), what, "give each threshold once, the lowest first")
        below = bands[-1].rates if bands else rates
        bands.append(Band(above_input_tokens=tokens, rates=_read_rates(inner, below)))
        inner.close()
    return tuple(bands)


def _read_hosted(section: Section) -> tuple[tuple[str, int], ...]:
    inner = section.section("hosted", f"`hosted` in {section.where}")
    if inner is None:
        return ()
    return tuple((name, amount.read(inner, name) or 0) for name in inner)
