"""Money as an integer number of nano-dollars, so that sums are exact."""

from decimal import ROUND_CEILING, Decimal
from typing import NewType

Money = NewType("Money", int)
"""A count of nano-dollars (10⁻⁹ USD). Never negative, except as a difference."""

NANO_PER_USD = 1_000_000_000

ZERO = Money(0)


def from_usd(amount: Decimal) -> Money:
    """Convert dollars as people type them; what is finer than a nano-dollar is rounded up."""
    return Money(int((amount * NANO_PER_USD).to_integral_value(rounding=ROUND_CEILING)))


def to_usd(amount: Money) -> Decimal:
    """Convert to dollars for people to read; exact."""
    return Decimal(amount) / NANO_PER_USD


def format_usd(amount: Money) -> str:
    """Write an amount for people, with cents at least and never in exponent form: `$0.00125`."""
    digits = f"{to_usd(Money(abs(amount))):.9f}"
    whole, fraction = digits.split(".")
    fraction = fraction.rstrip("0").ljust(2, "0")
    sign = "-" if amount < 0 else ""
    return f"{sign}${int(whole):,}.{fraction}"
