"""YAML as a tree of texts, lists and tables, each with its place; nothing else of YAML is used."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Never

import yaml

from ringfence.config.problem import Place, Problems, shown

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 16
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_MERGE = "<<"


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar as it is written; whoever reads it knows which type it should have."""

    text: str
    is_plain: bool
    place: Place

    @property
    def is_nothing(self) -> bool:
        """Whether it is YAML's null: nothing at all, `~` or `null`, without quotes."""
        return self.is_plain and self.text in _NULLS


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple["Node", ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a table and its value."""

    key: str
    place: Place
    value: "Node"


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping; keys are texts and each occurs once."""

    entries: Mapping[str, Entry]
    place: Place


Node = Text | Items | Table


def parse(text: str, file: str, problems: Problems) -> Node | None:
    """Read one YAML document; None if there is nothing to go on with, which is then a problem.

    Duplicate keys are problems, and so are tags, anchors, aliases, merge keys and further
    documents: they have no use here and could hide something.
    """
    try:
        root = _Builder(file, yaml.parse(text, Loader=_LOADER), problems).document()
    except _UnreadableError:
        return None
    except yaml.MarkedYAMLError as error:
        _report_syntax(error, file, text, problems)
        return None
    except yaml.YAMLError:
        problems.add(Place(file), "holds a character that YAML does not allow")
        return None
    if root is None:
        problems.add(Place(file), "is empty", "`ringfence init` writes a starter")
    return root


def _report_syntax(error: yaml.MarkedYAMLError, file: str, text: str, problems: Problems) -> None:
    # INVARIANT: libyaml's `problem` is a fixed phrase; its snippet of the file is never shown.
    mark = error.problem_mark or error.context_mark
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
    lines = text.splitlines()
    line = lines[place.line - 1] if 0 < place.line <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        problems.add(place, "a tab in the indentation", "indent with spaces")
    else:
        phrase = error.problem if error.problem and error.problem.isascii() else "unreadable"
        problems.add(place, f"not valid YAML: {phrase}", "check indentation, quotes and brackets")


class _UnreadableError(Exception):
    """The rest of the file cannot be understood; the problem has been noted."""


class _Builder:
    def __init__(self, file: str, events: Iterator[yaml.Event], problems: Problems) -> None:
        self._file = file
        self._events = events
        self._problems = problems

    def document(self) -> Node | None:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self._refuse(event, "a second document", "keep one document per file")
                root = self._node(next(self._events), 0)
        return None if isinstance(root, Text) and root.is_nothing else root

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, "an alias", "write the value out; aliases are not used here")
        self._refuse_decoration(event)
        place = self._place(event)
        if isinstance(event, yaml.ScalarEvent):
            return Text(event.value, not event.style, place)
        if depth >= _DEEPEST:
            self._refuse(event, "nested too deeply")
        if isinstance(event, yaml.SequenceStartEvent):
            return Items(tuple(self._items(depth)), place)
        return Table(self._entries(depth), place)

    def _items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, depth + 1)

    def _entries(self, depth: int) -> Mapping[str, Entry]:
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            if not isinstance(key, Text):
                self._refuse(event, "a key that is not text")
            if key.text == _MERGE and key.is_plain:
                self._refuse(event, "a merge key", "write the keys out; `<<` is not used here")
            if key.text in entries:
                first = entries[key.text].place.line
                self._problems.add(
                    key.place, f"duplicate key {shown(key.text)}", f"it stands on line {first} too"
                )
            value = self._node(next(self._events), depth + 1)
            entries.setdefault(key.text, Entry(key.text, key.place, value))
        return entries

    def _refuse_decoration(self, event: yaml.Event) -> None:
        if getattr(event, "anchor", None):
            help_ = "write the value out; anchors are not used here"
            self._problems.add(self._place(event), "an anchor", help_)
        if getattr(event, "tag", None):
            self._problems.add(self._place(event), "a tag", "remove it; every key has one type")

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return Place(self._file, mark.line + 1, mark.column + 1) if mark else Place(self._file)

    def _refuse(self, event: yaml.Event, what: str, help: str = "") -> Never:  # noqa: A002 (the field's name everywhere)
        self._problems.add(self._place(event), what, help)
        raise _UnreadableError
