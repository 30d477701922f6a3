"""What an organisation wants masked before it is stored."""

import re
from typing import Final

from ringfence.analysis.masking import Finder, compile_pattern
from ringfence.config.problem import nearest, shown
from ringfence.config.section import Section
from ringfence.domain.error import UsageError
from ringfence.domain.masking import Kind, MaskingRules

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_NAME_HELP: Final = "use lower-case letters, digits, `_` and `-`, and no name of a kind"


def read_masking(heading: Section) -> MaskingRules:
    """Read `masking`: kinds by name, and patterns of one's own."""
    section = heading.section("masking", "`masking`", "masking: {kinds: [email]}")
    if section is None:
        return MaskingRules()
    kinds: list[Kind] = []
    for item in section.distinct("kinds"):
        if item.value in list(Kind):
            kinds.append(Kind(item.value))
        else:
            what = f"unknown kind {shown(item.written)} in `masking`"
            section.problem(item.place, what, nearest(item.written, list(Kind)))
    rules = MaskingRules(kinds=tuple(kinds), patterns=_read_patterns(section))
    section.close()
    if rules:
        try:
            Finder(rules)
        except UsageError as error:
            section.problem(section.place, error.message, error.help)
    return rules


def _read_patterns(section: Section) -> dict[str, str]:
    inner = section.section("patterns", "`patterns` of `masking`", 'patterns: {ticket: "A-[0-9]+"}')
    patterns: dict[str, str] = {}
    for name in inner or ():
        item = inner.item(name) if inner is not None else None
        if inner is None or item is None:
            continue
        if not _NAME.fullmatch(name) or name in list(Kind):
            inner.problem(inner.at(name), f"{shown(name)} is no name of a pattern", _NAME_HELP)
            continue
        try:
            compile_pattern(name, item.value)
        except UsageError as error:
            inner.problem(item.place, error.message, error.help)
        else:
            patterns[name] = item.value
    return patterns
