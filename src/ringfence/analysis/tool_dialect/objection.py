"""What a provider would refuse in a tool, and a walk through the schemas within a schema."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

Path = tuple[str | int, ...]
Schema = Mapping[str, object]

DEEPEST: Final = 64
"""Deeper ones are not looked at; no provider takes them (OpenAI's strict mode takes ten levels)."""

_ONE: Final = (
    "items",
    "additionalItems",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "contains",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedItems",
)
_MANY: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


class Fix(Enum):
    """What mends a refusal so that nothing is lost."""

    NONE = auto()
    ROOT_OBJECT = auto()
    """Arguments are always an object; saying so changes nothing."""
    PROPERTIES = auto()
    ITEMS = auto()
    BOUND = auto()
    """A bound of draft 4, written as the newer drafts write it."""
    TUPLE = auto()
    REQUIRED_FLAG = auto()
    FOLD = auto()
    """Alternatives at the root are merged into it, and told in the description."""
    TELL = auto()
    """A constraint is taken out and told in the description."""
    NOT_STRICT = auto()
    """The tool is sent without the promise of strictness, with the same schema."""
    JSON_SCHEMA = auto()
    """The schema moves to the field that takes JSON Schema as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """One thing for which a provider refuses the whole request.

    `rule` is a stable name, `path` where in the schema, `help` what to change in the tool itself.
    """

    rule: str
    path: Path
    what: str
    help: str
    fix: Fix = Fix.NONE
    key: str = ""
    """The keyword that a fix is about."""

    @property
    def place(self) -> str:
        """The path as people read it: `properties.tags.items`; `schema` for the root."""
        return ".".join(map(str, self.path)) or "schema"


def walk(schema: object, path: Path = ()) -> Iterator[tuple[Path, Schema]]:
    """Every object that is a schema, the outermost first, with where it stands."""
    if not isinstance(schema, dict) or len(path) > DEEPEST:
        return
    yield path, schema
    for key in _ONE:
        yield from walk(schema.get(key), (*path, key))
    items = schema.get("items")
    if isinstance(items, list):
        for at, each in enumerate(items):
            yield from walk(each, (*path, "items", at))
    for key in _MANY:
        many = schema.get(key)
        for at, each in enumerate(many if isinstance(many, list) else ()):
            yield from walk(each, (*path, key, at))
    for key in _NAMED:
        named = schema.get(key)
        for name, each in named.items() if isinstance(named, dict) else ():
            yield from walk(each, (*path, key, name))
