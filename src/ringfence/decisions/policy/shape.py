"""The arguments of a tool as Cedar can hold them, read from the tool's JSON Schema.

Cedar has no floats, no null and no unions. `number` becomes a decimal; what may be null becomes an
attribute that may be absent; what has no single type is opaque: no policy can read it.
Source: JSON Schema 2020-12; https://docs.cedarpolicy.com/policies/syntax-datatypes.html.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from ringfence.decisions.policy.engine import Json

MAX_DEPTH = 16
MAX_NODES = 10_000
"""A schema comes from outside, and a few references can unfold without end."""

_ESCAPES = frozenset({"__entity", "__extn", "__expr"})
"""Names by which Cedar's JSON marks what is no record; no argument may pass for that."""


class Kind(StrEnum):
    """What an argument is to Cedar."""

    TEXT = "text"
    FLAG = "true or false"
    WHOLE = "a whole number"
    NUMBER = "a number"
    SET = "a list"
    RECORD = "an object"
    OPAQUE = "of no single type"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A type: `element` is that of a list, `members` are those of an object.

    A number that `may_be_text` is one that tools take as `"12.50"`, too.
    """

    kind: Kind
    may_be_text: bool = False
    element: "Shape | None" = None
    members: Mapping[str, "Member"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An attribute. `default` is what the tool takes where it is absent; None if nothing."""

    shape: Shape
    is_required: bool = False
    is_nullable: bool = False
    default: object = None

    @property
    def is_certain(self) -> bool:
        """Whether a policy may read it without asking first whether it is there."""
        return (self.is_required or self.default is not None) and not self.is_nullable


OPAQUE = Shape(kind=Kind.OPAQUE)
TEXT_NUMBER = Shape(kind=Kind.NUMBER, may_be_text=True)
EMPTY = Shape(kind=Kind.RECORD)

_NUMBERS = frozenset({Kind.NUMBER, Kind.WHOLE})
_KINDS: Mapping[str, Kind] = {
    "string": Kind.TEXT,
    "boolean": Kind.FLAG,
    "integer": Kind.WHOLE,
    "number": Kind.NUMBER,
    "array": Kind.SET,
    "object": Kind.RECORD,
}

_Node: TypeAlias = dict[str, Any]


def shape_of(schema: bytes) -> Shape:
    """The shape of a tool's arguments; nothing can be read of what is no usable schema."""
    try:
        root = json.loads(schema)
    except (ValueError, RecursionError):
        return EMPTY
    shape = _Reader(root).read(root, 0)[0] if isinstance(root, dict) else EMPTY
    return shape if shape.kind is Kind.RECORD else EMPTY


def cedar_type(shape: Shape) -> Json | None:
    """The same in Cedar's JSON format of schemas; None for what Cedar cannot hold."""
    if shape.kind is Kind.RECORD:
        attributes = {
            name: {**inner, "required": member.is_certain}
            for name, member in shape.members.items()
            if (inner := cedar_type(member.shape)) is not None
        }
        return {"type": "Record", "attributes": attributes}
    if shape.kind is Kind.SET:
        element = cedar_type(shape.element or OPAQUE)
        return None if element is None else {"type": "Set", "element": element}
    return _CEDAR.get(shape.kind)


_CEDAR: Mapping[Kind, Json] = {
    Kind.TEXT: {"type": "String"},
    Kind.FLAG: {"type": "Boolean"},
    Kind.WHOLE: {"type": "Long"},
    Kind.NUMBER: {"type": "Extension", "name": "decimal"},
}


class _Reader:
    """Reads one schema; counts what it unfolds."""

    def __init__(self, root: _Node) -> None:
        self._root = root
        self._left = MAX_NODES

    def read(self, node: object, depth: int) -> tuple[Shape, bool]:
        """The shape of a schema and whether null fits it."""
        self._left -= 1
        if not isinstance(node, dict) or depth > MAX_DEPTH or self._left < 0:
            return OPAQUE, False
        if "$ref" in node:
            return self.read(self._resolve(node["$ref"]), depth + 1)
        for key in ("anyOf", "oneOf"):
            if key in node:
                return self._union(node[key], depth)
        if "allOf" in node:
            return self._joined(node, depth)
        return self._plain(node, depth)

    def _plain(self, node: _Node, depth: int) -> tuple[Shape, bool]:
        types, is_nullable = _types(node)
        if len(types) != 1:
            both = types == {"integer", "number"}
            return (Shape(kind=Kind.NUMBER) if both else OPAQUE), is_nullable
        kind = _KINDS.get(next(iter(types)), Kind.OPAQUE)
        if kind is Kind.SET:
            element, _ = self.read(node.get("items"), depth + 1)
            shape = Shape(kind=kind, element=element) if element is not OPAQUE else OPAQUE
            return shape, is_nullable
        if kind is Kind.RECORD:
            return Shape(kind=kind, members=self._members(node, depth)), is_nullable
        return Shape(kind=kind), is_nullable

    def _members(self, node: _Node, depth: int) -> dict[str, Member]:
        properties, required = node.get("properties"), node.get("required")
        if not isinstance(properties, dict) or not _ESCAPES.isdisjoint(properties):
            return {}
        wanted = (
            frozenset(each for each in required if isinstance(each, str))
            if isinstance(required, list)
            else frozenset()
        )
        members: dict[str, Member] = {}
        for name, inner in properties.items():
            shape, is_nullable = self.read(inner, depth + 1)
            members[name] = Member(
                shape=shape,
                is_required=name in wanted,
                is_nullable=is_nullable,
                default=inner.get("default") if isinstance(inner, dict) else None,
            )
        return members

    def _union(self, choices: object, depth: int) -> tuple[Shape, bool]:
        if not isinstance(choices, list) or not choices:
            return OPAQUE, False
        read = [self.read(each, depth + 1) for each in choices]
        is_nullable = any(nullable for _, nullable in read) or any(map(_is_null, choices))
        kept = [
            (choice, shape)
            for choice, (shape, _) in zip(choices, read, strict=True)
            if not _is_null(choice)
        ]
        shapes = [shape for choice, shape in kept if not _is_numeric_text(choice)]
        if len(shapes) < len(kept) and shapes:
            is_number = all(shape.kind in _NUMBERS for shape in shapes)
            return (TEXT_NUMBER if is_number else OPAQUE), is_nullable
        return (_same(shapes) if shapes else OPAQUE), is_nullable

    def _joined(self, node: _Node, depth: int) -> tuple[Shape, bool]:
        """All of several schemas at once: objects bring their members together."""
        parts = node["allOf"]
        if not isinstance(parts, list):
            return OPAQUE, False
        rest = {key: value for key, value in node.items() if key != "allOf"}
        shapes = [self.read(each, depth + 1)[0] for each in parts]
        if "properties" in rest or "type" in rest:
            shapes.append(self._plain(rest, depth)[0])
        if len(shapes) == 1:
            return shapes[0], False
        if any(shape.kind is not Kind.RECORD for shape in shapes):
            return _same(shapes), False
        members: dict[str, Member] = {}
        for shape in shapes:
            for name, member in shape.members.items():
                known = members.get(name, member)
                members[name] = member if known == member else Member(shape=OPAQUE)
        return Shape(kind=Kind.RECORD, members=members), False

    def _resolve(self, reference: object) -> object:
        """A reference within the same document: `#/$defs/Name`."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        node: object = self._root
        for part in reference[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            node = node.get(name) if isinstance(node, dict) else None
        return node


def _types(node: _Node) -> tuple[set[str], bool]:
    """The types that a schema names, without null, and whether null is one of them."""
    stated = node.get("type")
    if isinstance(stated, str):
        types = {stated}
    elif isinstance(stated, list):
        types = {each for each in stated if isinstance(each, str)}
    elif "properties" in node:
        types = {"object"}
    else:
        values = node["enum"] if isinstance(node.get("enum"), list) else [node.get("const")]
        types = {_type_of(each) for each in values} if "enum" in node or "const" in node else set()
    return types - {"null"}, "null" in types


def _type_of(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case None:
            return "null"
        case _:
            return "any"


def _is_numeric_text(choice: object) -> bool:
    """Whether a schema is that of text which is a number, as pydantic writes a `Decimal`.

    Only what its pattern looks like is judged: the pattern is a stranger's, and is never run.
    """
    if not isinstance(choice, dict) or choice.get("type") != "string":
        return False
    pattern = choice.get("pattern")
    if not isinstance(pattern, str) or "\\d" not in pattern:
        return False
    return not any(each.isalpha() for each in pattern.replace("\\d", ""))


def _is_null(choice: object) -> bool:
    return isinstance(choice, dict) and choice.get("type") == "null"


def _same(shapes: Sequence[Shape]) -> Shape:
    """The one shape that all have; a whole number is a number, too."""
    kinds = {shape.kind for shape in shapes}
    if kinds == {Kind.WHOLE, Kind.NUMBER}:
        return Shape(kind=Kind.NUMBER)
    return shapes[0] if all(shape == shapes[0] for shape in shapes) else OPAQUE
