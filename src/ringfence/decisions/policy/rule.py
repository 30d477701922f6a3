"""One policy: where it stands, when it can matter, and which facts it reads."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ringfence.decisions.policy.engine import Json, Uid
from ringfence.domain.error import UsageError

Path: TypeAlias = tuple[str, ...]
"""A fact of the context, for example `("arguments", "amount")`."""

ARGUMENTS = "arguments"
PATTERN = "Pattern"
"""The type of groups that are patterns of names: `resource in Pattern::"crm__get_*"`."""

ANNOTATIONS = frozenset({"id", "ask", "reason", "doc"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One policy in force.

    `source` is its file, or `scope` and `autonomy` for what is compiled from the configuration;
    `line` is where it begins. `text` is what was written, `body` the same in Cedar's JSON.
    """

    id: str
    source: str
    line: int
    text: str
    body: Json
    is_forbid: bool
    ask: str | None
    """Why a person is asked; None for a policy that asks nobody."""
    reason: str
    reads: frozenset[Path]
    """The facts whose values it looks at."""
    tests: frozenset[Path]
    """The facts of which it asks whether they are there."""
    patterns: frozenset[str]

    reads_arguments: bool = field(init=False)
    """Whether any argument of the action matters to it."""

    def __post_init__(self) -> None:
        """Find out once: each new slice asks."""
        is_read = any(path[0] == ARGUMENTS for path in self.reads | self.tests)
        object.__setattr__(self, "reads_arguments", is_read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Who wants to do what to what, each with the groups that it belongs to."""

    principal: Uid
    principal_groups: frozenset[Uid]
    action: Uid
    resource: Uid
    resource_groups: frozenset[Uid]


def read_rule(body: Json, *, name: str, source: str, line: int, text: str) -> Rule:
    """Read a policy from Cedar's JSON; `name` is its id unless `@id` gives one.

    Raises UsageError `policy_invalid` for what Cedar would take and we cannot judge.
    """
    annotations: Mapping[str, str | None] = body.get("annotations", {})
    unknown = sorted(annotations.keys() - ANNOTATIONS)
    if unknown:
        raise _invalid(
            f"unknown annotation `@{unknown[0]}`", f"known are {_listed(ANNOTATIONS, '@')}"
        )
    is_forbid = body["effect"] == "forbid"
    asked = (annotations["ask"] or "") if "ask" in annotations else None
    if asked is not None and not is_forbid:
        raise _invalid("`@ask` on a `permit` has no meaning", "write it as a `forbid`")
    if asked == "":
        raise _invalid("`@ask` gives no reason", '`@ask("why a person should look")`')
    return Rule(
        id=annotations.get("id") or name,
        source=source,
        line=line,
        text=text,
        body=body,
        is_forbid=is_forbid,
        ask=asked,
        reason=annotations.get("reason") or "",
        reads=frozenset(path for path, is_test in _reads(body) if not is_test),
        tests=frozenset(path for path, is_test in _reads(body) if is_test),
        patterns=frozenset(name for kind, name in _entities(body) if kind == PATTERN),
    )


def can_bind(rule: Rule, parties: Parties) -> bool:
    """Whether the head of a policy names this principal and this action."""
    principal, groups = parties.principal, parties.principal_groups
    return can_act(rule, parties.action) and _fits(rule.body["principal"], principal, groups)


def can_concern(rule: Rule, resource: Uid, groups: frozenset[Uid]) -> bool:
    """Whether the head of a policy names this resource, or a group that it is in."""
    return _fits(rule.body["resource"], resource, groups)


def can_act(rule: Rule, action: Uid) -> bool:
    """Whether the head of a policy names this action."""
    return _fits(rule.body["action"], action, frozenset())


def _fits(head: Json, entity: Uid, groups: frozenset[Uid]) -> bool:
    match head["op"]:
        case "All":
            return True
        case "==":
            return _uid(head["entity"]) == entity
        case "in":
            wanted = head["entities"] if "entities" in head else [head["entity"]]
            return any(_uid(each) == entity or _uid(each) in groups for each in wanted)
        case "is":
            inner = head.get("in")
            is_kind = head["entity_type"] == entity[0]
            return is_kind and (inner is None or _fits({"op": "in", **inner}, entity, groups))
        case other:
            raise _invalid(f"the head of a policy says `{other}`, which is not known", "")


def _uid(entity: Mapping[str, str]) -> Uid:
    return entity["type"], entity["id"]


def _reads(body: Json) -> Iterator[tuple[Path, bool]]:
    for condition in body["conditions"]:
        yield from _reads_of(condition["body"])


def _reads_of(node: object) -> Iterator[tuple[Path, bool]]:
    """Every fact of the context that an expression looks at, and whether only for presence."""
    match node:
        case {"has": {"left": left, "attr": str(name)}}:
            path = _path(left)
            if path is not None:
                yield _usable((*path, name)), True
                return
        case _:
            path = _path(node)
            if path is not None:
                yield _usable(path), False
                return
    if isinstance(node, dict):
        for value in node.values():
            yield from _reads_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from _reads_of(value)


def _path(node: object) -> Path | None:
    """The path that `context.a.b` names; None for anything else."""
    match node:
        case {"Var": "context"}:
            return ()
        case {".": {"left": left, "attr": str(name)}}:
            before = _path(left)
            return None if before is None else (*before, name)
        case _:
            return None


def _usable(path: Path) -> Path:
    if path in {(), (ARGUMENTS,)}:
        what = "`context`" if not path else "`context.arguments`"
        raise _invalid(
            f"a policy reads {what} as a whole", "read single attributes, like `.amount` of it"
        )
    return path


def _entities(node: object) -> Iterator[Uid]:
    match node:
        case {"type": str(kind), "id": str(name)}:
            yield kind, name
        case dict():
            for value in node.values():
                yield from _entities(value)
        case list():
            for value in node:
                yield from _entities(value)
        case _:
            return


def entities_in(rule: Rule) -> Iterator[Uid]:
    """Every entity that a policy names, in its head or its conditions."""
    return _entities(rule.body)


def _listed(names: Iterable[str], sign: str) -> str:
    return ", ".join(f"`{sign}{name}`" for name in sorted(names))


def _invalid(what: str, advice: str) -> UsageError:
    return UsageError("policy_invalid", what, help=advice)


def bodies(rules: Sequence[Rule]) -> Mapping[str, Any]:
    """Policies by id, as `engine.compile_rules` takes them."""
    return {rule.id: rule.body for rule in rules}
