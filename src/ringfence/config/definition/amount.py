"""Amounts in US dollars, read exactly: as they are written or not at all."""

from decimal import Decimal

from ringfence.config.section import Section
from ringfence.domain.money import NANO_PER_USD

_MOST_USD = 1_000_000_000
"""Keeps every sum of nano-dollars within the 64-bit integers of the stores."""


def read(section: Section, key: str, *, least: Decimal = Decimal(0)) -> int | None:
    """Read dollars as nano-dollars, or dollars per million tokens as nano-dollars for those."""
    usd = section.decimal(key)
    if usd is None:
        return None
    what, help_ = _judge(usd, least)
    if what:
        section.problem(section.at(key), f"`{key}` in {section.where} {what}", help_)
        return None
    return int(usd * NANO_PER_USD)


def _judge(usd: Decimal, least: Decimal) -> tuple[str, str]:
    if usd < 0:
        return "is negative", "write an amount in US dollars"
    if usd > _MOST_USD:
        return "is too large", f"at most {_MOST_USD} US dollars"
    if usd * NANO_PER_USD % 1:
        return "is finer than a nano-dollar", "at most nine decimals"
    if usd < least:
        return "is zero", "leave it out, or stop the agent with `ringfence agent suspend`"
    return "", ""
