"""Compounding errors as arithmetic: what a step's success comes to over a run, and what would help.

A run of n steps that each work with probability p works with p^n, if one step's failure does not
change another's. What the record says of whole runs stands beside it (`reliability`).
"""

import math

import msgspec

_Z = 1.959964
"""Two-sided 95 % of the normal distribution."""
_ROUNDING = 1e-9


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A probability from counts, with the interval that holds it in 95 of 100 such samples.

    Wilson's score interval, which stays right for few trials and where none failed. Source:
    E. B. Wilson, Journal of the American Statistical Association 22 (1927).
    """

    value: float
    low: float
    high: float
    trials: int

    @classmethod
    def of(cls, successes: int, trials: int) -> "Estimate":
        """Of so many successes in so many trials; without trials everything is possible."""
        if not trials:
            return cls(value=0.0, low=0.0, high=1.0, trials=0)
        share, z2 = successes / trials, _Z * _Z
        centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
        spread = share * (1 - share) / trials + z2 / (4 * trials * trials)
        half = _Z * math.sqrt(spread) / (1 + z2 / trials)
        return cls(
            value=share,
            low=min(share, max(0.0, centre - half)),
            high=max(share, min(1.0, centre + half)),
            trials=trials,
        )

    def over(self, steps: float) -> "Estimate":
        """The same over so many steps that do not depend on each other."""
        return Estimate(
            value=self.value**steps,
            low=self.low**steps,
            high=self.high**steps,
            trials=self.trials,
        )


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    """Something that could be changed, and the share of runs that would then work."""

    what: str
    """`fewer_steps`, `merged_agent`, `checkpoint` or `without_worst`."""
    success: float
    steps: float


def fewer_steps(p: float, steps: float) -> Remedy:
    """The same work in half as many steps."""
    return Remedy(what="fewer_steps", success=p ** (steps / 2), steps=steps / 2)


def merged_agent(p: float, steps: float, hand_overs: float) -> Remedy:
    """One agent in place of several: the steps that hand work over are not taken."""
    left = max(1.0, steps - hand_overs)
    return Remedy(what="merged_agent", success=p**left, steps=left)


def checkpoint(p: float, steps: float) -> Remedy:
    """A check half-way and at the end, each of which has its half done once more if it failed.

    The check itself is taken to be right. `steps` counts the halves that are expected to be done
    again.
    """
    half = p ** (steps / 2)
    return Remedy(
        what="checkpoint", success=(1 - (1 - half) ** 2) ** 2, steps=steps * (1 + (1 - half))
    )


def loss(steps: int, working: int) -> float:
    """What steps of one kind take from a run's success: -ln of their share of p^n, at least 0.

    Where none worked the logarithm has no bound; half a success stands in for none.
    """
    return -steps * math.log(max(working, 0.5) / steps)


def steps_within(p: float, wanted: float) -> int | None:
    """How many steps a run may take so that it works so often; None where there is no bound."""
    if p >= 1.0:
        return None
    return 0 if p <= 0.0 else math.floor(math.log(wanted) / math.log(p) + _ROUNDING)


def step_needed(steps: float, wanted: float) -> float:
    """How often each step must work so that a run of so many works as often as wanted."""
    return float(wanted ** (1 / steps)) if steps else 0.0
