"""All that a provider says against one tool."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from ringfence.analysis.tool_dialect import rule
from ringfence.analysis.tool_dialect.objection import Objection
from ringfence.analysis.tool_dialect.rule import Rule
from ringfence.domain.tool_dialect import ToolDialect

_COMMON: Final[tuple[Rule, ...]] = (rule.forms, rule.old_bounds)
_OPENAI: Final[tuple[Rule, ...]] = (
    rule.root_object,
    rule.root_combinators,
    rule.root_choices,
    rule.root_properties,
    rule.array_items,
    rule.patterns,
    *_COMMON,
)
_ANTHROPIC: Final[tuple[Rule, ...]] = (rule.root_object, rule.root_combinators, *_COMMON)

_RULES: Final[Mapping[ToolDialect, tuple[Rule, ...]]] = {
    ToolDialect.OPENAI: _OPENAI,
    ToolDialect.OPENAI_STRICT: (*_OPENAI, rule.strict_openai),
    ToolDialect.ANTHROPIC: _ANTHROPIC,
    ToolDialect.ANTHROPIC_STRICT: (*_ANTHROPIC, rule.strict_anthropic),
    ToolDialect.GEMINI: (rule.gemini_subset, rule.array_items),
    ToolDialect.GEMINI_JSON: (rule.array_items, *_COMMON),
    ToolDialect.BEDROCK: (
        rule.root_object,
        rule.root_combinators,
        rule.large_numbers,
        *_COMMON,
    ),
    ToolDialect.MISTRAL: (rule.root_object, *_COMMON),
}

_WORD: Final = r"[a-zA-Z0-9_-]"
_GOOGLE: Final = r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}"
_NAMES: Final[Mapping[ToolDialect, re.Pattern[str]]] = {
    ToolDialect.OPENAI: re.compile(_WORD + r"{1,64}"),
    ToolDialect.OPENAI_STRICT: re.compile(_WORD + r"{1,64}"),
    ToolDialect.ANTHROPIC: re.compile(_WORD + r"{1,128}"),
    ToolDialect.ANTHROPIC_STRICT: re.compile(_WORD + r"{1,128}"),
    ToolDialect.GEMINI: re.compile(_GOOGLE),
    ToolDialect.GEMINI_JSON: re.compile(_GOOGLE),
    ToolDialect.BEDROCK: re.compile(_WORD + r"{1,64}"),
    ToolDialect.MISTRAL: re.compile(_WORD + r"{1,64}"),
}


def objections(dialect: ToolDialect, name: str, schema: object) -> tuple[Objection, ...]:
    """For what a provider would refuse a request with this tool; empty if it takes the tool.

    `schema` is the value of the schema's field; None where the tool has none.
    """
    return (*_of_name(dialect, name), *_of_schema(dialect, schema))


def _of_name(dialect: ToolDialect, name: str) -> Iterator[Objection]:
    if not _NAMES[dialect].fullmatch(name):
        yield Objection(
            rule="name",
            path=("name",),
            what=f"the name `{name[:80]}` does not match `{_NAMES[dialect].pattern}`",
            help="rename it, or give it a view with a shorter name",
        )


def _of_schema(dialect: ToolDialect, schema: object) -> Iterator[Objection]:
    if not isinstance(schema, dict):
        if schema is None and dialect in {ToolDialect.GEMINI, ToolDialect.GEMINI_JSON}:
            return  # a function without parameters has none there
        yield from rule.root_object({"type": None if schema is None else type(schema).__name__})
        return
    for each in _RULES[dialect]:
        yield from each(schema)
