"""The words of invocations: one run of one agent on one task."""

from dataclasses import dataclass
from enum import StrEnum


class InvocationState(StrEnum):
    """An invocation is open until it is finished, stopped or left idle."""

    OPEN = "open"
    FINISHED = "finished"
    STOPPED = "stopped"
    EXPIRED = "expired"


class Grouping(StrEnum):
    """What a call was put into its invocation by, from the surest to the weakest."""

    TOKEN = "token"  # noqa: S105 (a word, not a secret)
    HEADER = "header"
    TRACEPARENT = "traceparent"
    CLIENT = "client"
    CONVERSATION = "conversation"
    TIME = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """The identity of an invocation; what changes while it runs is kept by `enforcement`."""

    id: str
    organisation: str
    agent: str
    root: str
    parent: str | None
    depth: int
    credential: str
    opened_us: int
    grouping: Grouping
    external_id: str | None = None
    task: str = ""
    """As earlier releases wrote it down; by now it is a message, stored and erased like others."""
    deadline_us: int | None = None
