"""The words that facts can have: a policy that compares with another one never holds."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from ringfence.decisions.policy.fact import WEEKDAYS
from ringfence.domain.agent import Autonomy, Category
from ringfence.domain.caller import CallerTier
from ringfence.domain.tool import PermissionTier

Attribute: TypeAlias = tuple[str, ...]

WORDS: Mapping[Attribute, frozenset[str]] = {
    ("context", "tier"): frozenset(tier.name.lower() for tier in PermissionTier),
    ("context", "caller"): frozenset(CallerTier),
    ("context", "time", "weekday"): frozenset(WEEKDAYS),
    ("principal", "category"): frozenset(Category),
    ("principal", "autonomy"): frozenset(Autonomy),
}
"""What an attribute can be, for those that are one of a few words."""


def misspelt(node: object) -> Iterator[tuple[Attribute, str]]:
    """Every attribute that an expression compares with a word that it never is, and that word."""
    match node:
        case {"==": {"left": left, "right": right}} | {"!=": {"left": left, "right": right}}:
            yield from _unheard(left, _words(right))
            yield from _unheard(right, _words(left))
        case {"contains": {"left": {"Set": list(elements)}, "right": right}}:
            yield from _unheard(right, [word for each in elements for word in _words(each)])
        case _:
            pass
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for each in inner:
        yield from misspelt(each)


def _unheard(side: object, words: list[str]) -> Iterator[tuple[Attribute, str]]:
    attribute = _attribute(side)
    known = WORDS.get(attribute)
    if known is not None:
        yield from ((attribute, word) for word in words if word not in known)


def _words(node: object) -> list[str]:
    match node:
        case {"Value": str(word)}:
            return [word]
        case _:
            return []


def _attribute(node: object) -> Attribute:
    match node:
        case {"Var": str(name)}:
            return (name,)
        case {".": {"left": left, "attr": str(name)}}:
            return (*_attribute(left), name)
        case _:
            return ()
