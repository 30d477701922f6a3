"""Which rule answers a request."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ringfence.domain.model import Dialect
from ringfence.testing.model import asking, composition
from ringfence.testing.model.emission import Emission
from ringfence.testing.model.question import Question, Tool
from ringfence.testing.model.script import Faults, Rule, Script, ScriptedAnswer, When

# Answers in these dialects are not written by a script, so only a rule that names them applies.
_UNSCRIPTED = frozenset({Dialect.EMBEDDINGS, Dialect.COUNT_TOKENS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The answer to one request."""

    rule: str
    emission: Emission
    faults: Faults


class Playbook:
    """A script being played; counts how often each rule answered."""

    def __init__(self, script: Script) -> None:
        """Start before the first answer."""
        self._rules = script.rules
        self.reset()

    def reset(self) -> None:
        """Start again."""
        self._given = [0] * len(self._rules)
        self._number = 0

    def choose(self, question: Question, headers: Mapping[str, str]) -> Chosen | None:
        """The answer of the first rule that holds; None if none does.

        `headers` has lower-case names. Where no rule is needed the answer is a plain one.
        """
        asked = asking.asked_tool(question)
        for index, rule in enumerate(self._rules):
            if _holds(rule.when, question, headers, asked):
                return self._play(index, rule, question, asked)
        if question.dialect in _UNSCRIPTED:
            emission = composition.emit(ScriptedAnswer(), question, asked, self._next())
            return Chosen(rule="", emission=emission, faults=Faults())
        return None

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _play(self, index: int, rule: Rule, question: Question, asked: Tool | None) -> Chosen:
        answers = rule.sequence
        answer = answers[min(self._given[index], len(answers) - 1)]
        self._given[index] += 1
        emission = composition.emit(answer, question, asked, self._next())
        return Chosen(rule=rule.name or str(index + 1), emission=emission, faults=answer.faults)


def _holds(when: When, question: Question, headers: Mapping[str, str], asked: Tool | None) -> bool:
    if question.dialect in _UNSCRIPTED and when.dialect is None:
        return False
    talk = question.conversation
    declared = {tool.name for tool in question.tools}
    last_result = talk.tool_results[-1] if talk.tool_results else ""
    return (
        when.dialect in {None, question.dialect}
        and (when.model is None or fnmatchcase(question.model, when.model))
        and when.stream in {None, question.stream}
        and when.turn in {None, talk.turn}
        and when.tool_results in {None, bool(talk.tool_results)}
        and when.asks_for_tool in {None, asked is not None}
        and declared.issuperset(when.tools)
        and _found(when.user, talk.user)
        and _found(when.tool_result, last_result)
        and all(fnmatchcase(headers.get(k.lower(), ""), v) for k, v in when.headers.items())
    )


def _found(pattern: str | None, text: str) -> bool:
    return pattern is None or re.search(pattern, text, re.IGNORECASE) is not None
