"""The words of what holds for a tool: what happens when it fails, its price, how it is undone."""

from dataclasses import dataclass
from enum import StrEnum


class ToolFailure(StrEnum):
    """How a call of a tool can fail, as its server or what stands behind it tells."""

    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    RATE_LIMITED = "429"
    SERVER_ERROR = "5xx"
    TIMEOUT = "timeout"
    MALFORMED = "malformed"
    """An answer that is none, or not what the tool's output schema says."""
    EMPTY = "empty"
    """A result that holds nothing."""
    AWAY = "away"
    """Its server cannot be reached."""


class Remedy(StrEnum):
    """What happens then. A list of them is tried in order."""

    RETRY = "retry"
    """Again, if the tool is idempotent or its server has surely seen nothing."""
    CACHED = "cached"
    """The last good answer to the same call, with its age."""
    ALTERNATIVE = "alternative"
    """Another tool with the same arguments."""
    TELL = "tell"
    """Tell the model what happened; the rest of the run goes on."""
    ESCALATE = "escalate"
    """Tell the model to hand the task over, and put a finding on the record."""
    STOP = "stop"
    """End the invocation."""


FINAL = frozenset({Remedy.TELL, Remedy.ESCALATE, Remedy.STOP})
"""After these nothing more is tried; `tell` stands behind every list that has none of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRule:
    """What happens when tools that match `pattern` fail.

    `alternative` is another tool as `server__tool`, of the same server if it names none.
    """

    pattern: str
    remedies: tuple[tuple[ToolFailure, tuple[Remedy, ...]], ...] = ()
    alternative: str = ""
    cache_s: int | None = None
    """How old an answer may be that is given in place of a new one; None as elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """Another call that follows from one: `call` with arguments taken from the first.

    Each argument is a JSON text, or a path (`$.arguments.order`, `$.result.id`) into the arguments
    and the result of the first call.
    """

    call: str
    arguments: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Postcondition:
    """What must be so after a call of a tool that matches `pattern`.

    `check` reads the state; in its result each path of `expect` must have its JSON value.
    """

    pattern: str
    check: FollowUp
    expect: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """The call that undoes one of a tool that matches `pattern`."""

    pattern: str
    undo: FollowUp


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRules:
    """Everything that one server's section says of how its tools are called.

    Patterns are of names as scopes know them; of several that match the first counts. Money is in
    nano-dollars per call.
    """

    failures: tuple[FailureRule, ...] = ()
    retries: int = 2
    idempotent: tuple[str, ...] = ()
    """Besides those that only read."""
    result_bytes: int = 262_144
    """How much of a result the model is given at once: some 60,000 tokens."""
    prices: tuple[tuple[str, int], ...] = ()
    labels: tuple[tuple[str, frozenset[str]], ...] = ()
    postconditions: tuple[Postcondition, ...] = ()
    compensations: tuple[Compensation, ...] = ()
    unchecked: tuple[str, ...] = ()
    """Tools that may be called though their schema of arguments cannot be used to check them."""


USUAL = ToolRules()
