"""What other policies would have said of calls that were made: recorded ones, decided again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ringfence.decisions.policy.policy_set import PolicySet
from ringfence.domain.policy import PolicyDecision, PolicyVerdict, Question, ToolFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A call of the record with what policies said of it then."""

    action: str
    question: Question
    was: PolicyVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A call that would have come out otherwise."""

    recorded: Recorded
    would: PolicyDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How many calls were decided again, and those that came out otherwise, in order."""

    decided: int
    changed: Sequence[Changed]


def replay(
    policies: PolicySet, calls: Iterable[Recorded], tools: Mapping[str, ToolFacts]
) -> Replay:
    """Decide every call again; `tools` are as they are now."""
    decided = 0
    changed: list[Changed] = []
    for call in calls:
        decided += 1
        would = policies.decide(call.question, tools.get(call.question.resource))
        if would.verdict is not call.was:
            changed.append(Changed(recorded=call, would=would))
    return Replay(decided=decided, changed=changed)
