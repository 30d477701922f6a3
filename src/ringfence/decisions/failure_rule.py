"""What happens when a tool fails: what its rules say, step by step, until one is the end."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

from ringfence.domain.tool import PermissionTier, ToolKey
from ringfence.domain.tool_rule import FINAL, Remedy, ToolFailure, ToolRules

INHERITED: Mapping[ToolFailure, tuple[Remedy, ...]] = {
    ToolFailure.UNAUTHORIZED: (Remedy.ESCALATE,),
    ToolFailure.FORBIDDEN: (Remedy.TELL,),
    ToolFailure.NOT_FOUND: (Remedy.TELL,),
    ToolFailure.RATE_LIMITED: (Remedy.RETRY, Remedy.TELL),
    ToolFailure.SERVER_ERROR: (Remedy.RETRY, Remedy.TELL),
    ToolFailure.TIMEOUT: (Remedy.RETRY, Remedy.TELL),
    ToolFailure.MALFORMED: (Remedy.TELL,),
    ToolFailure.EMPTY: (Remedy.TELL,),
    ToolFailure.AWAY: (Remedy.RETRY, Remedy.TELL),
}
"""What holds where nothing is declared. No agent can mend a credential, so a 401 is escalated."""

CACHE_S = 300
"""How old an answer may be where `cached` is said and no age: five minutes."""
LONGEST_WAIT_S = 10.0
"""A server that asks for more patience than this has failed, as far as one call goes."""
_FIRST_WAIT_S = 0.25

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """One attempt that brought no usable result.

    `said` is what the server said of it, if anything. `was_sent` is false only if the server has
    surely seen nothing of it.
    """

    failure: ToolFailure
    http_status: int = 0
    said: str = ""
    was_sent: bool = True
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the remedies of one call have come."""

    tries: int = 1
    """Attempts so far."""
    left_s: float = 0.0
    """How much time the call has left."""
    cached_age_s: float | None = None
    """Of the last good answer to the same call; None if there is none, or it was tried."""
    may_alternate: bool = True
    """Whether the alternative has not been tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Try again after so long."""

    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Try this tool with the same arguments."""

    key: ToolKey


Step = Again | Elsewhere | Remedy
"""What to do next; `cached` and the final ones need no more words."""


def first(name: str, found: Iterable[tuple[str, _Value]], usual: _Value) -> _Value:
    """The value of the first pattern that fits a tool's name."""
    for pattern, value in found:
        if fnmatchcase(name, pattern):
            return value
    return usual


def remedies(rules: ToolRules, name: str, failure: ToolFailure) -> tuple[Remedy, ...]:
    """What is tried in order, and last what ends it."""
    declared = (
        steps
        for rule in rules.failures
        if fnmatchcase(name, rule.pattern)
        for each, steps in rule.remedies
        if each is failure
    )
    steps = next(declared, INHERITED[failure])
    return steps if steps and steps[-1] in FINAL else (*steps, Remedy.TELL)


def cache_s(rules: ToolRules, name: str) -> int:
    """How old an answer may be that stands in for a new one; 0 if none ever may."""
    if not rules.failures:
        return 0
    matching = [rule for rule in rules.failures if fnmatchcase(name, rule.pattern)]
    if not any(Remedy.CACHED in steps for rule in matching for _, steps in rule.remedies):
        return 0
    return next((rule.cache_s for rule in matching if rule.cache_s is not None), CACHE_S)


def is_idempotent(rules: ToolRules, tier: PermissionTier, name: str) -> bool:
    """Whether calling a tool twice is like calling it once; its server's word does not count."""
    return tier is PermissionTier.READ or any(
        fnmatchcase(name, pattern) for pattern in rules.idempotent
    )


def decide(
    rules: ToolRules, key: ToolKey, tier: PermissionTier, failed: Failed, standing: Standing
) -> Step:
    """The next thing to do about a call that has failed.

    INVARIANT: what may have had an effect is repeated only where it is declared idempotent.
    """
    for remedy in remedies(rules, key.name, failed.failure):
        match remedy:
            case Remedy.RETRY:
                wait_s = _wait_s(failed, standing)
                may_repeat = not failed.was_sent or is_idempotent(rules, tier, key.name)
                has_tries = standing.tries <= rules.retries
                if may_repeat and has_tries and wait_s < min(standing.left_s, LONGEST_WAIT_S):
                    return Again(after_s=wait_s)
            case Remedy.CACHED:
                age_s = standing.cached_age_s
                if age_s is not None and age_s <= cache_s(rules, key.name):
                    return remedy
            case Remedy.ALTERNATIVE:
                other = alternative(rules, key)
                if other is not None and standing.may_alternate:
                    return Elsewhere(key=other)
            case Remedy.TELL | Remedy.ESCALATE | Remedy.STOP:
                return remedy
    return Remedy.TELL


def alternative(rules: ToolRules, key: ToolKey) -> ToolKey | None:
    """The tool that is asked instead."""
    named = (
        rule.alternative
        for rule in rules.failures
        if rule.alternative and fnmatchcase(key.name, rule.pattern)
    )
    return key_of(next(named, ""), key.server)


def key_of(name: str, server: str) -> ToolKey | None:
    """A tool as the configuration names it: `server__tool`, or `tool` of the same server."""
    if not name:
        return None
    before, separator, after = name.partition("__")
    return ToolKey(server=before, name=after) if separator else ToolKey(server=server, name=name)


def failure_of(status: int, error: str = "") -> ToolFailure | None:
    """What an HTTP status, or the code of an error without one, says; None if it is no failure."""
    if error:
        return _ERRORS.get(error, ToolFailure.AWAY)
    if status in _STATUSES:
        return _STATUSES[status]
    if status in _SERVER_ERRORS:
        return ToolFailure.SERVER_ERROR
    return ToolFailure.MALFORMED if status >= _FIRST_ERROR else None


_FIRST_ERROR = 400
_SERVER_ERRORS = range(500, 600)
_STATUSES = {
    401: ToolFailure.UNAUTHORIZED,
    403: ToolFailure.FORBIDDEN,
    404: ToolFailure.NOT_FOUND,
    408: ToolFailure.TIMEOUT,
    429: ToolFailure.RATE_LIMITED,
    504: ToolFailure.TIMEOUT,
}
_ERRORS = {
    "provider_timeout": ToolFailure.TIMEOUT,
    "provider_malformed": ToolFailure.MALFORMED,
    "provider_unavailable": ToolFailure.AWAY,
    "not_authorised": ToolFailure.UNAUTHORIZED,
}


def _wait_s(failed: Failed, standing: Standing) -> float:
    """What the server asks for, else longer each time."""
    if failed.retry_after_s is not None:
        return failed.retry_after_s
    return float(_FIRST_WAIT_S * 4 ** (standing.tries - 1))


def labels_of(rules: ToolRules, name: str) -> frozenset[str]:
    """What is said of the results of a tool, for example `untrusted`."""
    return first(name, rules.labels, _NO_LABELS)


def price_of(rules: ToolRules, name: str) -> int:
    """What one call costs, in nano-dollars."""
    return first(name, rules.prices, 0)


_NO_LABELS: frozenset[str] = frozenset()
