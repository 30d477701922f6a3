"""What has changed between two definitions of a tool, and what that does to who calls it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ringfence.analysis.tool_text import visible
from ringfence.domain.tool import ToolDefinition

_READ: Final = frozenset({"name", "title", "description", "annotations", "inputSchema"})
_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_SEEN_APART: Final = frozenset(
    {"type", "enum", "properties", "required", "items", *_LOWER, *_UPPER}
)
_PROSE: Final = frozenset({"description", "title", "examples", "$comment"})
_DEEPEST: Final = 24
_Json = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that has changed.

    `kind` is `name`, `title`, `description`, `annotation`, `schema`, `result` or `field`. `path`
    says where, for example `properties.status`. `is_breaking` where calls that were right may now
    be wrong. `parameter` is the top-level argument that it is about; empty for none. `before` and
    `after` are JSON or text, empty for nothing.
    """

    kind: str
    path: str
    what: str
    is_breaking: bool = False
    parameter: str = ""
    before: str = ""
    after: str = ""


def differences(before: ToolDefinition, after: ToolDefinition) -> tuple[Difference, ...]:
    """Everything that differs, what breaks callers first, else in a fixed order."""
    one, other = _object(json.loads(before.raw)), _object(json.loads(after.raw))
    found = [
        *_words(one, other),
        *_annotations(_object(one.get("annotations")), _object(other.get("annotations"))),
        *_inputs(_object(one.get("inputSchema")), _object(other.get("inputSchema"))),
        *_results(one, other),
        *_fields(one, other),
    ]
    if not found and one != other:
        found.append(Difference(kind="field", path="", what="it is spelt in another way"))
    return tuple(sorted(found, key=lambda each: not each.is_breaking))


def effect(found: Sequence[Difference], use: Mapping[str, Mapping[str, int]]) -> tuple[str, ...]:
    """What breaking changes do to agents; `use` gives, by agent, how often it sent each argument.

    The empty name counts calls. Empty where nobody on the record is affected.
    """
    told: list[str] = []
    for each in found:
        if not each.is_breaking:
            continue
        if each.parameter and not each.what.endswith("required"):
            agents = [agent for agent, sent in use.items() if sent.get(each.parameter)]
            told += _told(agents, f" with `{each.parameter}`: {each.what}")
        elif each.parameter:
            calling = [agent for agent, sent in use.items() if sent.get("")]
            missing = [
                agent for agent in calling if use[agent].get(each.parameter, 0) < use[agent][""]
            ]
            told += _told(missing, f" without `{each.parameter}`: {each.what}")
        else:
            told += _told([agent for agent, sent in use.items() if sent.get("")], f": {each.what}")
    return tuple(dict.fromkeys(told))


def _told(agents: Sequence[str], what: str) -> list[str]:
    if not agents:
        return []
    *most, last = (f"`{agent}`" for agent in sorted(agents))
    who = f"agents {', '.join(most)} and {last} call" if most else f"agent {last} calls"
    return [f"{who} it{what}"]


def _words(one: _Json, other: _Json) -> Iterator[Difference]:
    for key in ("name", "title", "description"):
        before, after = _text(one.get(key)), _text(other.get(key))
        if one.get(key) != other.get(key):
            yield Difference(
                kind=key,
                path=key,
                what=f"the {key} has changed" if before and after else _came(key, after),
                is_breaking=key == "name",
                before=visible(before),
                after=visible(after),
            )


def _came(key: str, after: str) -> str:
    return f"it has a {key} now" if after else f"it has no {key} any more"


def _annotations(one: _Json, other: _Json) -> Iterator[Difference]:
    for key in sorted(one.keys() | other.keys()):
        if one.get(key) != other.get(key) or (key in one) != (key in other):
            yield Difference(
                kind="annotation",
                path=f"annotations.{key}",
                what=f"its server's word on `{key}` has changed",
                before=_json(one, key),
                after=_json(other, key),
            )


def _inputs(one: _Json, other: _Json) -> Iterator[Difference]:
    before, after = _properties(one), _properties(other)
    for each in _schema(one, other, "", 0):
        head = each.path.removeprefix("properties.")
        parameter = next(
            (
                name
                for name in sorted({*before, *after}, key=len, reverse=True)
                if head == name or head.startswith(f"{name}.")
            ),
            "",
        )
        yield Difference(
            kind="schema",
            path=f"inputSchema.{each.path}".rstrip("."),
            what=each.what,
            is_breaking=each.is_breaking,
            parameter=parameter if each.path.startswith("properties.") else "",
            before=each.before,
            after=each.after,
        )


def _results(one: _Json, other: _Json) -> Iterator[Difference]:
    if one.get("outputSchema") == other.get("outputSchema"):
        return
    gone = sorted(
        _properties(_object(one.get("outputSchema"))).keys()
        - _properties(_object(other.get("outputSchema"))).keys()
    )
    names = ", ".join(f"`{name}`" for name in gone)
    yield Difference(
        kind="result",
        path="outputSchema",
        what=f"its results have no {names} any more"
        if gone
        else "the schema of results has changed",
        is_breaking=bool(gone),
        before=_json(one, "outputSchema"),
        after=_json(other, "outputSchema"),
    )


def _fields(one: _Json, other: _Json) -> Iterator[Difference]:
    for key in sorted((one.keys() | other.keys()) - _READ - {"outputSchema"}):
        if one.get(key) != other.get(key) or (key in one) != (key in other):
            yield Difference(
                kind="field",
                path=key,
                what=f"the field `{key}` has changed",
                before=_json(one, key),
                after=_json(other, key),
            )


def _schema(one: _Json, other: _Json, path: str, depth: int) -> Iterator[Difference]:
    """Differences of two schemas, with paths from `path` on; deeper ones count as one."""
    if one == other:
        return
    if depth > _DEEPEST:
        yield _changed(path, "is another deep inside", breaking=True)
        return
    yield from _types(one, other, path)
    yield from _choices(one, other, path)
    yield from _bounds(one, other, path)
    yield from _members(one, other, path, depth)
    if isinstance(one.get("items"), dict) and isinstance(other.get("items"), dict):
        inner = f"{path}.items".lstrip(".")
        yield from _schema(_object(one["items"]), _object(other["items"]), inner, depth + 1)
    elif one.get("items") != other.get("items"):
        yield _changed(path, "has items of another kind", breaking=True)
    for key in sorted((one.keys() | other.keys()) - _SEEN_APART):
        if one.get(key) != other.get(key) or (key in one) != (key in other):
            yield Difference(
                kind="schema",
                path=path,
                what=f"{_named(path)}has another `{key}`",
                is_breaking=key not in _PROSE and key != "default",
                before=_json(one, key),
                after=_json(other, key),
            )


def _types(one: _Json, other: _Json, path: str) -> Iterator[Difference]:
    if one.get("type") == other.get("type"):
        return
    before, after = _kinds(one), _kinds(other)
    if before == after:
        return
    narrower = after is not None and (before is None or not before <= after)
    yield Difference(
        kind="schema",
        path=path,
        what=f"{_named(path)}is of another type",
        is_breaking=narrower,
        before=_json(one, "type"),
        after=_json(other, "type"),
    )


def _kinds(schema: _Json) -> frozenset[str] | None:
    """The types that are allowed; None for any. Whole numbers are numbers."""
    kind = schema.get("type")
    kinds = [kind] if isinstance(kind, str) else kind if isinstance(kind, list) else None
    if kinds is None:
        return None
    named = frozenset(map(str, kinds))
    return named | {"integer"} if "number" in named else named


def _choices(one: _Json, other: _Json, path: str) -> Iterator[Difference]:
    before, after = one.get("enum"), other.get("enum")
    if before == after:
        return
    gone: list[object] = []
    if isinstance(before, list) and isinstance(after, list):
        gone = [value for value in before if value not in after]
    is_breaking = bool(gone) or (after is not None and not isinstance(before, list))
    what = "allows no longer " + ", ".join(json.dumps(each) for each in gone[:5]) if gone else ""
    yield Difference(
        kind="schema",
        path=path,
        what=_named(path) + (what or "allows other values"),
        is_breaking=is_breaking,
        before=_json(one, "enum"),
        after=_json(other, "enum"),
    )


def _bounds(one: _Json, other: _Json, path: str) -> Iterator[Difference]:
    for key in (*_LOWER, *_UPPER):
        before, after = one.get(key), other.get(key)
        if before == after:
            continue
        tighter = after is not None
        if isinstance(before, int | float) and isinstance(after, int | float):
            tighter = after > before if key in _LOWER else after < before
        yield Difference(
            kind="schema",
            path=path,
            what=f"{_named(path)}has another `{key}`",
            is_breaking=tighter,
            before=_json(one, key),
            after=_json(other, key),
        )


def _members(one: _Json, other: _Json, path: str, depth: int) -> Iterator[Difference]:
    before, after = _properties(one), _properties(other)
    needed, needs = _required(one), _required(other)
    for name in [*before, *(name for name in after if name not in before)]:
        inner = f"{path}.properties.{name}".lstrip(".")
        if name not in after:
            yield _changed(inner, "is gone", breaking=True, before=json.dumps(before[name]))
        elif name not in before:
            what = "is new and required" if name in needs else "is new"
            yield _changed(inner, what, breaking=name in needs, after=json.dumps(after[name]))
        else:
            if (name in needed) != (name in needs):
                what = "is now required" if name in needs else "may now be left out"
                yield _changed(inner, what, breaking=name in needs)
            yield from _schema(_object(before[name]), _object(after[name]), inner, depth + 1)


def _changed(
    path: str, what: str, *, breaking: bool, before: str = "", after: str = ""
) -> Difference:
    return Difference(
        kind="schema",
        path=path,
        what=f"{_named(path)}{what}",
        is_breaking=breaking,
        before=before,
        after=after,
    )


def _named(path: str) -> str:
    name = path.replace("properties.", "").replace(".items", "[]")
    return f"`{visible(name)}` " if name else "the schema "


def _properties(schema: _Json) -> _Json:
    return _object(schema.get("properties"))


def _required(schema: _Json) -> frozenset[str]:
    names = schema.get("required")
    return frozenset(str(name) for name in names) if isinstance(names, list) else frozenset()


def _object(value: object) -> _Json:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _json(members: _Json, key: str) -> str:
    if key not in members:
        return ""
    return visible(json.dumps(members[key], ensure_ascii=False, sort_keys=True))
