"""Mending a tool so that a provider takes it, and nothing that its schema says is lost.

What a provider cannot read as a schema is told in the description instead, where the model reads
it; whoever runs the tool still judges the arguments by the whole schema.
"""

import json
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

from ringfence.analysis.tool_dialect.check import objections
from ringfence.analysis.tool_dialect.objection import Fix, Objection, Path, walk
from ringfence.domain.tool_dialect import ToolDialect

_ROUNDS: Final = 4
"""One repair can lay bare another; a schema that is still refused after these is left alone."""
_LOOSE: Final = {
    ToolDialect.OPENAI_STRICT: ToolDialect.OPENAI,
    ToolDialect.ANTHROPIC_STRICT: ToolDialect.ANTHROPIC,
    ToolDialect.GEMINI: ToolDialect.GEMINI_JSON,
}
_Node = MutableMapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """A tool that a provider takes.

    `dialect` is another one where the tool is sent without `strict`, or its schema in the field
    that takes JSON Schema. `told` belongs at the end of the tool's description. `done` says what
    was changed, for people.
    """

    dialect: ToolDialect
    schema: object
    told: tuple[str, ...]
    done: tuple[str, ...]


def repaired(dialect: ToolDialect, name: str, schema: object) -> Repair | None:
    """The tool as a provider takes it; None if that cannot be had without losing something."""
    copy = deepcopy(schema)
    told: list[str] = []
    done: list[str] = []
    for _ in range(_ROUNDS):
        found = objections(dialect, name, copy)
        if not found:
            return Repair(dialect=dialect, schema=copy, told=tuple(told), done=tuple(done))
        if any(each.fix is Fix.NONE for each in found):
            return None
        moving = next((e for e in found if e.fix in {Fix.NOT_STRICT, Fix.JSON_SCHEMA}), None)
        if moving is not None:
            dialect = _LOOSE[dialect]
            is_strict = moving.fix is Fix.NOT_STRICT
            how = "sent without `strict`" if is_strict else "sent as `parametersJsonSchema`"
            done.append(f"{how}: {moving.what} ({moving.place})")
            if not is_strict:
                _as_json_schema(copy)
            continue
        if not isinstance(copy, dict):
            copy = {"type": "object", "properties": {}}
            done.append("given the schema of a tool without arguments")
            continue
        # The innermost first: a repair further out may move what is within.
        for each in sorted(found, key=lambda one: -len(one.path)):
            words = _mend(copy, each)
            if words is None:
                return None
            told += words
            done.append(f"{_DONE[each.fix]}: {each.what} ({each.place})")
    return None


_DONE: Final = {
    Fix.ROOT_OBJECT: "given the type `object`",
    Fix.PROPERTIES: "given an empty list of properties",
    Fix.ITEMS: "given items of any kind",
    Fix.BOUND: "given the bound as a number",
    Fix.TUPLE: "written as `prefixItems`",
    Fix.REQUIRED_FLAG: "named as required by its object",
    Fix.FOLD: "merged into one object and told in the description",
    Fix.TELL: "told in the description",
}


def _mend(root: _Node, each: Objection) -> list[str] | None:
    """Carry out one repair; gives what the description must tell, None if it cannot be done."""
    mend = _MENDS.get(each.fix)
    return None if mend is None else mend(root, each)


def _type(root: _Node, _: Objection) -> list[str]:
    root["type"] = "object"
    return []


def _properties(root: _Node, _: Objection) -> list[str]:
    root["properties"] = {}
    return []


def _items(root: _Node, each: Objection) -> list[str]:
    _at(root, each.path)["items"] = {}
    return []


def _at(root: _Node, path: Path) -> _Node:
    found: object = root
    for step in path:
        inner: dict[object, object] = (
            dict(enumerate(found)) if isinstance(found, list) else _any(found)
        )
        found = inner.get(step)
    return found if isinstance(found, dict) else {}


def _bound(root: _Node, each: Objection) -> list[str]:
    node, key = _at(root, each.path[:-1]), each.key
    plain = "minimum" if key == "exclusiveMinimum" else "maximum"
    if node.pop(key) is True and isinstance(node.get(plain), int | float):
        node[key] = node.pop(plain)
    return []


def _tuple(root: _Node, each: Objection) -> list[str]:
    node = _at(root, each.path[:-1])
    node["prefixItems"] = node.pop("items")
    node["items"] = node.pop("additionalItems", {})
    return []


def _flag(root: _Node, each: Objection) -> list[str]:
    path = each.path
    node, owner = _at(root, path[:-1]), _at(root, path[:-3])
    if node.pop("required") is True:
        required = owner.get("required")
        names = list(required) if isinstance(required, list) else []
        owner["required"] = names if path[-2] in names else [*names, path[-2]]
    return []


def _tell(root: _Node, each: Objection) -> list[str]:
    """Take a keyword out and put it in words: of its own schema, or of the tool for the root's."""
    where = each.path if each.path[-1:] != (each.key,) else each.path[:-1]
    node = _at(root, where)
    words = f"Must satisfy the JSON Schema {json.dumps({each.key: node.pop(each.key)})}."
    if not where:
        return [words]
    before = node.get("description")
    node["description"] = f"{before} {words}" if isinstance(before, str) and before else words
    return []


def _fold(root: _Node, objection: Objection) -> list[str] | None:
    """Merge alternatives into the root; what they say together goes into the description.

    None if one is not a plain object.
    """
    key = objection.key
    branches = root[key]
    if not isinstance(branches, list) or not branches:
        return None
    properties = dict(_mapping(root.get("properties")))
    for branch in branches:
        if not isinstance(branch, dict) or not branch.keys() <= _FOLDED:
            return None
        if branch.get("type", "object") != "object":
            return None
        for name, schema in _mapping(branch.get("properties")).items():
            if properties.setdefault(name, schema) != schema:
                properties[name] = _joined(key, properties[name], schema)
    del root[key]
    root["properties"] = properties
    each = [_names(branch.get("required")) for branch in branches]
    always = _names(root.get("required"))
    shared = [name for name in each[0] if all(name in others for others in each)]
    common = each if key == "allOf" else [shared]
    needed = list(dict.fromkeys([*always, *(name for names in common for name in names)]))
    if needed:
        root["required"] = needed
    return list(_sentence(key, branches, each))


_MENDS: Final[Mapping[Fix, Callable[[_Node, Objection], list[str] | None]]] = {
    Fix.ROOT_OBJECT: _type,
    Fix.PROPERTIES: _properties,
    Fix.ITEMS: _items,
    Fix.BOUND: _bound,
    Fix.TUPLE: _tuple,
    Fix.REQUIRED_FLAG: _flag,
    Fix.FOLD: _fold,
    Fix.TELL: _tell,
}
_FOLDED: Final = frozenset(
    {"type", "properties", "required", "additionalProperties", "title", "description"}
)
_HOW: Final = {
    "oneOf": "Give exactly one of these sets of arguments",
    "anyOf": "Give at least one of these sets of arguments",
    "allOf": "Give all of these arguments",
}


def _sentence(
    key: str, branches: Sequence[object], required: Sequence[Sequence[str]]
) -> Iterator[str]:
    sets = []
    for branch, needed in zip(branches, required, strict=True):
        known = _mapping(branch).get("properties")
        optional = [name for name in _mapping(known) if name not in needed]
        words = " and ".join(f"`{name}`" for name in needed)
        if optional:
            more = ", ".join(f"`{name}`" for name in optional)
            words = f"{words} (optionally {more})" if words else f"optionally {more}"
        sets.append(words or "none of them")
    if key != "allOf" and len(sets) > 1:
        yield f"{_HOW[key]}: {'; or '.join(sets)}."


def _joined(key: str, one: object, other: object) -> object:
    """What two alternatives say of one property."""
    how = "allOf" if key == "allOf" else "anyOf"
    if isinstance(one, dict) and one.keys() == {how} and isinstance(one[how], list):
        return one if other in one[how] else {how: [*one[how], other]}
    return {how: [one, other]}


def _as_json_schema(schema: object) -> None:
    """Write what Gemini's own `Schema` spells in its own way as JSON Schema does."""
    for _, each in walk(schema):
        node = each if isinstance(each, dict) else {}
        kind = node.get("type")
        if isinstance(kind, str):
            node["type"] = kind.lower()
            if node.get("nullable") is True:
                node["type"] = [kind.lower(), "null"]
        node.pop("nullable", None)


def _any(value: object) -> dict[object, object]:
    return value if isinstance(value, dict) else {}


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _names(value: object) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []
