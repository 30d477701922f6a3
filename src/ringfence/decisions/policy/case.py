"""Cases beside policies: a call, and what must come of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ringfence.decisions.policy.policy_set import PolicySet
from ringfence.domain.policy import PolicyDecision, PolicyVerdict, Question, ToolFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One call with what is expected of it.

    `by` are policies that must be among those that decide; empty if it does not matter which.
    `tool` is what the file says of the tool; None for what is known of it anyway.
    """

    file: str
    line: int
    name: str
    question: Question
    expected: PolicyVerdict
    by: tuple[str, ...] = ()
    tool: ToolFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A case, what came of it, and what is wrong with that; empty if nothing is."""

    case: Case
    decision: PolicyDecision
    wrong: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of all cases; `untested` are policies of files that decided in none of them."""

    tried: Sequence[Tried]
    untested: Sequence[str]

    @property
    def failed(self) -> Sequence[Tried]:
        """What did not come out as expected."""
        return [each for each in self.tried if each.wrong]


def try_cases(policies: PolicySet, cases: Iterable[Case]) -> Trial:
    """Decide every case."""
    tried = [_try(policies, case) for case in cases]
    decided = {name for each in tried for name in each.decision.policies}
    untested = [rule.id for rule in policies.files if rule.id not in decided]
    return Trial(tried=tried, untested=untested)


def _try(policies: PolicySet, case: Case) -> Tried:
    decision = policies.decide(case.question, case.tool)
    missing = [name for name in case.by if name not in decision.policies]
    wrong = ""
    if decision.verdict is not case.expected:
        wrong = f"expected {case.expected}, got {decision.verdict}"
    elif missing:
        wrong = f"`{missing[0]}` is not among the policies that decided"
    return Tried(case=case, decision=decision, wrong=wrong)
