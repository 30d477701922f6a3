"""Tables of request fields: what each one means to governance, as data with the reason.

A dialect lists every field it knows; what it does not list is looked at by `closed_field`.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from typing import NamedTuple

from ringfence.domain.exchange import Feature
from ringfence.protocols import strict_json
from ringfence.protocols.strict_json import Span

_LONGEST_SHOWN = 200
_LONGEST_ID = 512
_EACH_BUILT = 4
"""What looking at a message costs besides its values, in values."""
_USUAL_MESSAGE = 16
"""Bytes up to which a message's size stands for the number of its values."""


class Meaning(Enum):
    """What a field can do that governance must know of."""

    READ = auto()
    """The codec itself reads it."""
    FREE = auto()
    """It changes neither the price beyond its bound nor what the model is given."""
    PRICED = auto()
    """It changes the price."""
    OUTSIDE = auto()
    """It brings input that is not in the body."""
    OBJECT = auto()
    """It names an object that the provider holds, which brings input that is not in the body."""
    HOSTED = auto()
    """It makes the provider run a tool."""
    CLIENT_ID = auto()
    """A known client names its run or its user by it."""


class Field(NamedTuple):
    """One row. A dotted name is a member of an object; null always means that a field is absent."""

    name: str
    meaning: Meaning
    reason: str
    harmless: Callable[[object], bool] = lambda _: False
    """Tells of a value, read strictly, whether it means nothing after all."""


def only(*values: object) -> Callable[[object], bool]:
    """Harmless are exactly these values; true and 1 are not the same."""
    return lambda value: any(type(value) is type(known) and value == known for known in values)


def free(names: str, reason: str) -> list[Field]:
    """Rows of harmless fields that have one reason in common."""
    return [Field(name, Meaning.FREE, reason) for name in names.split()]


def is_off(value: object) -> bool:
    """Whether a switch is off."""
    return value is False


class Findings:
    """Collects what a request holds that governance must decide on."""

    __slots__ = (
        "_built",
        "client_ids",
        "hosted",
        "hosted_uses",
        "images",
        "media",
        "objects",
        "outside",
        "priced",
        "tools",
    )

    def __init__(self) -> None:
        """Nothing found yet."""
        self.tools: list[str] = []
        self.hosted: list[Feature] = []
        self.hosted_uses: list[int] = []
        """How often the client lets each hosted tool be used, of those that it sets a bound for."""
        self.priced: list[Feature] = []
        self.outside: list[Feature] = []
        self.objects: list[str] = []
        self.client_ids: list[tuple[str, str]] = []
        self.images = 0
        self.media = 0
        self._built = 0

    def build(self, raw: bytes) -> object:
        """Read a message that is not plain; all of them together are bounded.

        Raises PeerError `request_malformed`.
        """
        self._built += _EACH_BUILT + strict_json.weight(raw, _USUAL_MESSAGE)
        if self._built > strict_json.MAX_BUILT:
            strict_json.refuse("the messages hold too many values besides text")
        return strict_json.parse(raw)

    @property
    def has_features(self) -> bool:
        """Whether anything but plain tools and media was found."""
        return bool(self.client_ids or self.hosted or self.priced or self.outside or self.objects)

    def add(self, meaning: Meaning, name: str, value: object) -> None:
        """Note one field and its value."""
        match meaning:
            case Meaning.PRICED:
                self.priced.append(feature(name, value))
            case Meaning.OUTSIDE:
                self.outside.append(feature(name, value))
            case Meaning.OBJECT:
                self._add_object(name, value)
            case Meaning.HOSTED:
                self.hosted.append(feature(name, value))
            case Meaning.CLIENT_ID:
                self._add_client_id(name, value)
            case Meaning.READ | Meaning.FREE:
                pass

    def merge(self, other: "Findings") -> None:
        """Take over what another reading found."""
        self.tools += other.tools
        self.hosted += other.hosted
        self.hosted_uses += other.hosted_uses
        self.priced += other.priced
        self.outside += other.outside
        self.objects += other.objects
        self.client_ids += other.client_ids
        self.images += other.images
        self.media += other.media

    def _add_object(self, name: str, value: object) -> None:
        for item in value if isinstance(value, list) else [value]:
            named = item.get("id") if isinstance(item, dict) else item
            self.outside.append(feature(name, named))
            if isinstance(named, str):
                self.objects.append(named)

    def _add_client_id(self, name: str, value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if isinstance(inner, str):
                    self._add_client_id(f"{name}.{key}", inner)
        elif isinstance(value, str) and len(value) <= _LONGEST_ID:
            self.client_ids.append((name, value))


def feature(name: str, value: object = None) -> Feature:
    """A feature with its value where that is a short text."""
    is_shown = isinstance(value, str) and len(value) <= _LONGEST_SHOWN
    return Feature(name, value if is_shown and isinstance(value, str) else "")


class FieldTable:
    """The fields of one dialect, arranged to be looked up quickly."""

    def __init__(self, rows: Iterable[Field]) -> None:
        """Take the rows in the order of the dialect's reference."""
        self.rows = tuple(rows)
        self._governed: dict[str, list[Field]] = {}
        self._names = frozenset(row.name.partition(".")[0] for row in self.rows)
        self._folded = frozenset(name.casefold() for name in self._names)
        for row in self.rows:
            if row.meaning not in (Meaning.READ, Meaning.FREE):
                self._governed.setdefault(row.name.partition(".")[0], []).append(row)

    def refuse_lookalikes(self, found: Mapping[str, Span]) -> None:
        """Refuse a known name in another case, which some servers would take for the known one."""
        if not found.keys() <= self._names:
            strict_json.refuse_lookalikes(found.keys() - self._names, self._folded)

    def collect(self, body: bytes, found: Mapping[str, Span], findings: Findings) -> None:
        """Note every governed field that is present and not harmless."""
        if found.keys().isdisjoint(self._governed):
            return
        for name in [name for name in found if name in self._governed]:
            start, end = found[name]
            value = strict_json.parse(body[start:end])
            for row in self._governed[name]:
                inner = _member(value, row.name)
                if inner is not None and not row.harmless(inner):
                    findings.add(row.meaning, row.name, inner)


def _member(value: object, dotted: str) -> object:
    for name in dotted.split(".")[1:]:
        value = value.get(name) if isinstance(value, dict) else None
    return value
