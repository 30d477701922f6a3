"""Rights: what is left of an agent's own for one kind of caller, never more than each allows.

The intersection is computed once for each epoch of the configuration and each (agent, caller tiers,
user), so that every action is judged by what holds when it is asked for.
"""

from collections.abc import Iterable
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from ringfence.domain.agent import Agent, Limits
from ringfence.domain.caller import CallerTier
from ringfence.domain.organisation import User

Patterns = tuple[str, ...]


def narrowed(agent: Agent, tiers: Iterable[CallerTier], user: User | None = None) -> Agent:
    """The agent as its callers of these tiers may use it, on behalf of `user` if there is one."""
    models, limits = agent.scope.models, agent.limits
    for tier in tiers:
        rule = agent.tiers.get(tier)
        if rule is None:
            continue
        if rule.models is not None:
            models &= rule.models
        if rule.limits is not None:
            limits = least(limits, rule.limits)
    if user is not None and user.models is not None:
        models &= user.models
    if models == agent.scope.models and limits == agent.limits:
        return agent
    return replace(agent, scope=replace(agent.scope, models=models), limits=limits)


def least(one: Limits, other: Limits) -> Limits:
    """The smaller of each limit; None is no limit of that kind."""
    pairs: dict[str, tuple[int | None, int | None]] = {
        each.name: (getattr(one, each.name), getattr(other, each.name)) for each in fields(Limits)
    }
    smaller: dict[str, Any] = {
        name: min((value for value in pair if value is not None), default=None)
        for name, pair in pairs.items()
    }
    return Limits(**smaller)


def within(name: str, bounds: Iterable[Patterns | None]) -> bool:
    """Whether a tool, host or command is allowed by everybody who has a say.

    Each of `bounds` is a list of patterns of which one must match (`*` any characters, `?` one), or
    None for somebody who takes nothing away; whatever is added to them can only narrow.
    """
    matches = _matches if len(name) <= _USUAL_NAME else _matches.__wrapped__
    return all(bound is None or matches(name, bound) for bound in bounds)


@lru_cache(maxsize=16_384)
def _matches(name: str, patterns: Patterns) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


_USUAL_NAME = 200
"""Characters; what is longer was made up by somebody, and is not worth keeping."""
