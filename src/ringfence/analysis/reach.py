"""What an agent could do: each right with its gate and its use, and what they add up to.

Rights are harmless one by one and not together: whoever reads customer data and can send messages
can send customer data; whoever reads what strangers write may do what they say. Source: the
"lethal trifecta" (S. Willison, 2025): private data, untrusted content, a way out.
"""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import msgspec

from ringfence.domain.action import ActionKind
from ringfence.domain.tool import PermissionTier

OPEN, ASK, SOMETIMES, DENY = "open", "ask", "sometimes", "deny"
"""How a right is gated: by nothing, by a person each time, by conditions, or it is refused."""

_PRIVATE = frozenset({"customer_data", "personal_data", "pii", "confidential", "secret", "private"})
_STRANGE = frozenset({"untrusted", "external", "web"})
_OUTWARD = frozenset({"sends_messages", "outward", "public"})
_OUTWARD_WORDS = frozenset(
    ("send", "email", "mail", "post", "publish", "notify", "message", "reply", "upload", "share")
)
_STRANGE_WORDS = frozenset(["fetch", "browse", "crawl", "scrape", "search", "web", "inbox"])
_FINAL_WORDS = frozenset(
    ("delete", "remove", "drop", "purge", "wipe", "erase", "destroy", "truncate", "refund", "pay")
)
_CODE_WORDS = frozenset(["run", "exec", "execute", "eval", "shell", "bash", "python", "script"])
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an agent's scope lets it use.

    `gate` is one of `OPEN`, `ASK`, `SOMETIMES`, `DENY`; `by` are the policies that make it so.
    `labels` are what the configuration says of it. `uses` are in the time looked at.
    """

    kind: ActionKind
    name: str
    tier: str
    gate: str
    by: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    uses: int = 0
    credential: str = ""
    """Name of the variable whose value it is used with; empty if it needs none."""

    @property
    def is_usable(self) -> bool:
        """Whether there is a way to use it at all."""
        return self.gate != DENY


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the scope: how many rights it gives, as far as they are known, and their uses."""

    key: str
    pattern: str
    rights: int
    uses: int


class Danger(msgspec.Struct, frozen=True, kw_only=True):
    """Rights that are dangerous together: from what is read to what can be done with it."""

    what: str
    reads: tuple[str, ...]
    does: tuple[str, ...]


class Ungated(msgspec.Struct, frozen=True, kw_only=True):
    """A way to something that cannot be undone, on which no person stands.

    `only_if` are policies that ask or refuse under conditions; empty if there is no gate at all.
    """

    path: tuple[str, ...]
    only_if: tuple[str, ...]


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an agent can do, and what is wrong with that."""

    rights: tuple[Right, ...]
    unused: tuple[Declared, ...]
    dangers: tuple[Danger, ...]
    ungated: tuple[Ungated, ...]
    unmarked: tuple[str, ...] = ()
    """Tools that no person gates, whose names say what their tiers do not: that it is for good."""


def reach(agent: str, rights: Sequence[Right], scope: Iterable[tuple[str, str]]) -> Reach:
    """Add rights up. `scope` are the lines of what is declared: key and pattern."""
    declared = [_declared(key, pattern, rights) for key, pattern in scope]
    usable = [right for right in rights if right.is_usable]
    return Reach(
        rights=tuple(rights),
        unused=tuple(each for each in declared if not each.uses),
        dangers=tuple(_dangers(usable)),
        ungated=tuple(_ungated(agent, usable)),
        unmarked=tuple(right.name for right in usable if _is_unmarked(right)),
    )


_KEYS = {
    "models": ActionKind.MODEL_CALL,
    "tools": ActionKind.TOOL_CALL,
    "hosts": ActionKind.HTTP_REQUEST,
    "commands": ActionKind.SHELL_EXEC,
}


def _declared(key: str, pattern: str, rights: Sequence[Right]) -> Declared:
    given = [
        right for right in rights if right.kind is _KEYS[key] and fnmatchcase(right.name, pattern)
    ]
    return Declared(
        key=key, pattern=pattern, rights=len(given), uses=sum(right.uses for right in given)
    )


def _dangers(rights: Sequence[Right]) -> Iterable[Danger]:
    private = [right.name for right in rights if _PRIVATE.intersection(right.labels)]
    strange = [right.name for right in rights if _is_strange(right)]
    outward = [right.name for right in rights if _is_outward(right)]
    free = [right for right in rights if right.gate != ASK]
    harmful = [
        right.name
        for right in free
        if right.tier in {_tier(PermissionTier.CONSEQUENTIAL), _tier(PermissionTier.IRREVERSIBLE)}
        and right.kind is not ActionKind.MODEL_CALL
        and not _is_strange(right)
    ]
    code = [right.name for right in free if _runs_code(right)]
    away = "private data can be sent away"
    if strange:
        away += ", and what strangers write can ask for it"
    pairs = (
        (away, private, outward),
        ("what strangers write can have consequences", strange, harmful),
        ("what strangers write can be run as code", strange, code),
    )
    for what, reads, does in pairs:
        if reads and does:
            yield Danger(what=what, reads=tuple(reads), does=tuple(does))


def _ungated(agent: str, rights: Sequence[Right]) -> Iterable[Ungated]:
    for right in rights:
        is_final = right.tier == _tier(PermissionTier.IRREVERSIBLE)
        if is_final and right.gate in {OPEN, SOMETIMES}:
            only_if = right.by if right.gate == SOMETIMES else ()
            yield Ungated(path=(agent, right.name), only_if=only_if)


def _is_unmarked(right: Right) -> bool:
    """Whether it sounds irreversible, and nobody has called it so."""
    is_final = right.tier == _tier(PermissionTier.IRREVERSIBLE)
    return right.gate != ASK and not is_final and _says(right, ActionKind.TOOL_CALL, _FINAL_WORDS)


def _is_strange(right: Right) -> bool:
    """Whether it brings in text that somebody else wrote."""
    is_web = right.kind is ActionKind.HTTP_REQUEST
    return is_web or bool(
        _STRANGE.intersection(right.labels) or _says(right, ActionKind.TOOL_CALL, _STRANGE_WORDS)
    )


def _is_outward(right: Right) -> bool:
    """Whether something can leave through it."""
    return right.kind is ActionKind.HTTP_REQUEST or bool(
        _OUTWARD.intersection(right.labels)
        or (
            right.tier != _tier(PermissionTier.READ)
            and _says(right, ActionKind.TOOL_CALL, _OUTWARD_WORDS)
        )
    )


def _runs_code(right: Right) -> bool:
    is_command = right.kind is ActionKind.SHELL_EXEC
    return is_command or _says(right, ActionKind.TOOL_CALL, _CODE_WORDS)


def _says(right: Right, kind: ActionKind, words: frozenset[str]) -> bool:
    """Whether one of the words is in its own name: `crm__sendMail`, but not `sender__list`."""
    own = right.name.partition("__")[2]
    return right.kind is kind and not words.isdisjoint(word.lower() for word in _WORD.findall(own))


def _tier(tier: PermissionTier) -> str:
    return tier.name.lower()
