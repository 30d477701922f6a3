"""The words of errands: calls that a person has the plane make for an agent, through approval."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One call of a tool that a person asks for, for example to undo another.

    It goes the way of every call of that agent, and besides it is held until somebody approves it.
    `tool` is the name that scopes know; `arguments` is raw JSON; `run` names its invocation.
    """

    organisation: str
    agent: str
    server: str
    tool: str
    arguments: bytes
    run: str
    about: str
    """The action that it undoes."""
    because: str
    """What whoever approves it is told."""
    asker: str = ""
    """The user who asks for it, and may not approve it; empty for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrandOutcome:
    """What has become of an errand; `told` is the text of the result, or why there is none."""

    is_done: bool
    told: str
