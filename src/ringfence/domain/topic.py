"""The words of topics: what an agent is there for, and what it must leave to others."""

from dataclasses import dataclass
from enum import StrEnum


class Otherwise(StrEnum):
    """What becomes of a task that no topic fits."""

    ALLOW = "allow"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One kind of task, told by words that name it and by examples of how people ask for it."""

    name: str
    words: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicRules:
    """The domain of an agent."""

    allowed: tuple[Topic, ...] = ()
    refused: tuple[Topic, ...] = ()
    otherwise: Otherwise = Otherwise.ALLOW
    classifier: str = ""
    """A model of the agent's that is asked what no topic fits is about; empty if none is."""
