"""Topics: whether a task is within an agent's domain, by rules that anyone can work out by hand.

A topic fits a text in which one of its words stands, or which is like one of its examples: which
has most of what sets that example apart from the others. The better fit counts; of two equal ones
the refused one. No model is asked here, so that the same text always gets the same answer; what no
topic fits may be put to one elsewhere, whose word is then judged by `judge_named`.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ringfence.domain.topic import Otherwise, Topic, TopicRules

LIKE: Final = 0.6
"""How much of an example's weight a text must have to be like it. Ours: with less, two questions of
support desks that share only how one asks pass for the same."""
READ_CHARACTERS: Final = 20_000
"""How much of a text is looked at from either end; between them lies what somebody has pasted."""

_WORD: Final = re.compile(r"\w+")
_COMPILED_KEPT: Final = 256

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OffTopic:
    """A task that is not this agent's. `topic` is empty for one that no topic fits."""

    topic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    """A topic as it is looked for: phrases, and examples as sets of words."""

    name: str
    phrases: tuple[Words, ...]
    examples: tuple[frozenset[str], ...]


def judge(rules: TopicRules, text: str) -> OffTopic | None:
    """Whether a task lies outside of an agent's domain; None if it does not."""
    refused, allowed, weights = _compiled(rules)
    words = _words(text)
    if not words:
        return None
    worst, name = _best(refused, words, weights)
    best, _ = _best(allowed, words, weights)
    if worst >= LIKE and worst >= best:
        return OffTopic(topic=name)
    if rules.otherwise is Otherwise.REFUSE and best < LIKE:
        return OffTopic()
    return None


def fits_none(rules: TopicRules, text: str) -> bool:
    """Whether a text says something that no topic fits."""
    refused, allowed, weights = _compiled(rules)
    words = _words(text)
    return bool(words) and _best((*refused, *allowed), words, weights)[0] < LIKE


def judge_named(rules: TopicRules, name: str) -> OffTopic | None:
    """The same as `judge` for a text that is about the topic of this name; empty for none."""
    if any(each.name == name for each in rules.refused):
        return OffTopic(topic=name)
    return OffTopic() if not name and rules.otherwise is Otherwise.REFUSE else None


def _best(
    topics: Sequence[_Compiled], words: Words, weights: Counter[str] | dict[str, float]
) -> tuple[float, str]:
    """How well the topic fits that fits best, from 0 to 1, and its name."""
    held = frozenset(words)
    return max(
        ((_fit(each, words, held, weights), each.name) for each in topics), default=(0.0, "")
    )


def _fit(
    topic: _Compiled, words: Words, held: frozenset[str], weights: Counter[str] | dict[str, float]
) -> float:
    if any(_stands(phrase, words, held) for phrase in topic.phrases):
        return 1.0
    return max((_likeness(each, held, weights) for each in topic.examples), default=0.0)


def _stands(phrase: Words, words: Words, held: frozenset[str]) -> bool:
    """Whether the words of a phrase stand in a text, one after the other."""
    if not held.issuperset(phrase):
        return False
    size = len(phrase)
    return any(words[at : at + size] == phrase for at in range(len(words) - size + 1))


def _likeness(
    example: frozenset[str], held: frozenset[str], weights: Counter[str] | dict[str, float]
) -> float:
    whole = math.fsum(weights[each] for each in example)
    return math.fsum(weights[each] for each in example & held) / whole if whole else 0.0


@lru_cache(maxsize=_COMPILED_KEPT)
def _compiled(
    rules: TopicRules,
) -> tuple[tuple[_Compiled, ...], tuple[_Compiled, ...], dict[str, float]]:
    """Both lists, and what each word of the examples weighs: less, the more of them have it."""
    refused = tuple(map(_compile, rules.refused))
    allowed = tuple(map(_compile, rules.allowed))
    examples = [example for each in (*refused, *allowed) for example in each.examples]
    counts = Counter(word for example in examples for word in example)
    weights = {word: math.log(1 + len(examples) / count) for word, count in counts.items()}
    return refused, allowed, weights


def _compile(topic: Topic) -> _Compiled:
    return _Compiled(
        name=topic.name,
        phrases=tuple(filter(None, map(_words, topic.words))),
        examples=tuple(frozenset(_words(each)) for each in topic.examples),
    )


def _words(text: str) -> Words:
    if len(text) > 2 * READ_CHARACTERS:
        text = f"{text[:READ_CHARACTERS]} {text[-READ_CHARACTERS:]}"
    found: Iterable[str] = _WORD.findall(text.casefold())
    return tuple(found)
