"""The policies that can matter to one agent, action and resource, and what they have decided."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

import msgspec

from ringfence.decisions.policy import engine
from ringfence.decisions.policy.argument import Unheld, Wanted, hold, wanted
from ringfence.decisions.policy.engine import Compiled, Json
from ringfence.decisions.policy.fact import Surroundings, facts
from ringfence.decisions.policy.rule import ARGUMENTS, Parties, Path, Rule, bodies
from ringfence.decisions.policy.scope import SCOPE
from ringfence.decisions.policy.shape import Shape
from ringfence.domain.policy import PolicyDecision, PolicyVerdict, Question, ToolFacts

DECISIONS_KEPT = 512
"""Of one slice; arguments differ from call to call, so old ones go."""
KEPT_BYTES = 4096
"""A decision on longer facts is not kept: agents choose the text, and memory is shared."""
MAX_BYTES = 256 * 1024
"""What policies read of one call; more would hold up all others while Cedar reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What policies together look at: facts, and parts of the arguments if any matters."""

    facts: tuple[Path, ...]
    parts: Wanted | None


def reading_of(rules: Sequence[Rule]) -> Reading:
    """What these policies together look at."""
    reads = frozenset[Path]().union(*(rule.reads for rule in rules))
    tests = frozenset[Path]().union(*(rule.tests for rule in rules))
    facts = tuple(sorted(path for path in reads | tests if path[0] != ARGUMENTS))
    return Reading(facts=facts, parts=wanted(reads, tests))


@final
class Compilations:
    """Policies that were read and parsed: many tools are under the same ones, and share them."""

    def __init__(self) -> None:
        """Nothing is parsed yet."""
        self._known: dict[tuple[str, ...], Compiled] = {}
        self._readings: dict[tuple[str, ...], Reading] = {}

    def reading(self, rules: Sequence[Rule]) -> Reading:
        """What these policies look at, found once."""
        key = tuple([rule.id for rule in rules])
        known = self._readings.get(key)
        if known is None:
            known = self._readings[key] = reading_of(rules)
        return known

    def compiled(self, rules: Sequence[Rule]) -> Compiled:
        """These policies, parsed once."""
        key = tuple(rule.id for rule in rules)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = engine.compile_rules(bodies(rules))
        return known


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What is known of the two parties: entities, the shape of the arguments, where it is."""

    entities: Sequence[Json]
    shape: Shape
    place: Surroundings
    tool: ToolFacts | None = None
    """What the shape and the labels were read from."""
    compilations: Compilations


@final
class Slice:
    """Decides every question of one agent, action and resource.

    INVARIANT: what is cached is kept under the value of every fact that any policy of the slice
    reads; whatever else a policy can see (entities, policies) is the same for the whole slice.
    """

    __slots__ = (
        "_compilations",
        "_decided",
        "_entities",
        "_facts",
        "_parts",
        "_permits",
        "_place",
        "_request",
        "_rules",
        "_shape",
        "problem",
        "rules",
        "tool",
    )

    def __init__(
        self, rules: Sequence[Rule], parties: Parties, about: About, *, problem: str = ""
    ) -> None:
        """`rules` are those whose head fits. With a `problem` everything is denied."""
        self.rules = tuple(rules)
        self.problem = problem
        self._shape = about.shape
        self._place = about.place
        self.tool = about.tool
        reading = about.compilations.reading(rules)
        self._facts, self._parts = reading.facts, reading.parts
        self._request: Json = {
            "principal": engine.uid(parties.principal),
            "action": engine.uid(parties.action),
            "resource": engine.uid(parties.resource),
        }
        self._rules: Compiled | None = None
        self._permits: Compiled | None = None
        self._compilations = about.compilations
        self._entities = engine.compile_entities(about.entities)
        self._decided: dict[bytes, PolicyDecision] = {}

    def reads(self, path: Path) -> bool:
        """Whether this fact matters to any of its policies."""
        return any(path in rule.reads or path in rule.tests for rule in self.rules)

    @property
    def reads_arguments(self) -> bool:
        """Whether any argument matters to any of its policies."""
        return self._parts is not None

    def decide(self, question: Question) -> PolicyDecision:
        """What the policies say; anything that they cannot say for sure is a denial."""
        if self.problem:
            return _denied(self.problem)
        try:
            key = self._context(question)
        except Unheld as unheld:
            return _denied(str(unheld))
        decided = self._decided.get(key)
        if decided is not None:
            return decided
        if len(key) > MAX_BYTES:
            return _denied("what the policies read of the arguments is too large to be judged")
        decided = self._ask(key)
        if len(key) <= KEPT_BYTES:
            if len(self._decided) >= DECISIONS_KEPT:
                del self._decided[next(iter(self._decided))]
            self._decided[key] = decided
        return decided

    def _context(self, question: Question) -> bytes:
        """The facts that are read, as JSON: what Cedar is given, and what is cached under."""
        if self._parts is None and not self._facts:
            return b"{}"
        context = facts(question, self._place, self._facts) if self._facts else {}
        if self._parts is not None:
            context[ARGUMENTS] = hold(question.arguments, self._shape, self._parts)
        return msgspec.json.encode(context)

    def _ask(self, context: bytes) -> PolicyDecision:
        if self._rules is None:
            self._rules = self._compilations.compiled(self.rules)
        request = {**self._request, "context": context.decode()}
        answer = engine.ask(self._rules, self._entities, request)
        if answer.problem:
            return _denied(answer.problem)
        deciding = [rule for rule in self.rules if rule.id in answer.policies]
        if answer.is_allowed:
            return self._allowed(deciding)
        asked = [rule for rule in deciding if rule.ask is not None]
        if not deciding or len(asked) < len(deciding):
            plain = [rule for rule in deciding if rule.ask is None]
            return _decision(PolicyVerdict.DENY, plain, [rule.reason for rule in plain])
        return self._asked(asked, request)

    def _allowed(self, permits: Sequence[Rule]) -> PolicyDecision:
        """A permit of a file never widens: one of the scope must allow, too."""
        if not any(rule.source == SCOPE for rule in permits):
            return _decision(PolicyVerdict.DENY, (), ())
        return _decision(PolicyVerdict.ALLOW, permits, ())

    def _asked(self, asked: Sequence[Rule], request: Json) -> PolicyDecision:
        """A person is asked only for what would be allowed if nobody had to be."""
        if self._permits is None:
            permits = [rule for rule in self.rules if not rule.is_forbid]
            self._permits = self._compilations.compiled(permits)
        answer = engine.ask(self._permits, self._entities, request)
        if answer.problem:
            return _denied(answer.problem)
        permits = [rule for rule in self.rules if rule.id in answer.policies]
        allowed = self._allowed(permits) if answer.is_allowed else None
        if allowed is None or allowed.verdict is not PolicyVerdict.ALLOW:
            return _decision(PolicyVerdict.DENY, (), ())
        reasons = [rule.ask or "" for rule in asked]
        return _decision(PolicyVerdict.ASK, [*asked, *permits], reasons)


def _decision(
    verdict: PolicyVerdict, rules: Sequence[Rule], reasons: Iterable[str]
) -> PolicyDecision:
    texts = "\0".join(rule.text for rule in rules)
    return PolicyDecision(
        verdict=verdict,
        policies=tuple(rule.id for rule in rules),
        reasons=tuple(reason for reason in reasons if reason),
        content=f"sha256:{hashlib.sha256(texts.encode()).hexdigest()}",
    )


def _denied(problem: str) -> PolicyDecision:
    return PolicyDecision(verdict=PolicyVerdict.DENY, problem=problem)
