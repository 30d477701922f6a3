"""Typed reading of one table: each getter gives a value or notes a problem and gives a default."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from ringfence.config.problem import CREDENTIAL_WORD, Place, nearest, shown
from ringfence.config.reading import Item, Reading, kind
from ringfence.config.tree import Entry, Items, Node, Table, Text
from ringfence.config.variable import sole_reference, sole_secret

_Word = TypeVar("_Word", bound=StrEnum)

_WHOLE = re.compile(r"-?[0-9]{1,15}")
_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,12})?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAME_HELP = "use letters, digits, `.`, `_` and `-`, at most 64, a letter or digit first"
_UNLIMITED = "unlimited"


class Section:
    """One table. Close it when everything was asked for: what was not asked for is unknown."""

    def __init__(self, node: Node, where: str, reading: Reading, example: str = "") -> None:
        """`where` names the table in error texts, for example ``agent `triage` ``."""
        self.reading = reading
        self.where = where
        self.place = node.place
        self._asked: set[str] = set()
        self._entries: Mapping[str, Entry] = {}
        self._is_table = isinstance(node, Table)
        if isinstance(node, Table):
            self._entries = node.entries
        elif isinstance(node, Text) and node.is_nothing:
            self._is_table = True
        else:
            what = f"{where} must be a mapping, not {kind(node)}"
            self.problem(node.place, what, f"write `{example}`" if example else "")

    def __contains__(self, key: str) -> bool:
        """Whether the table has this key."""
        self._asked.add(key)
        return key in self._entries

    def at(self, key: str) -> Place:
        """Where a key stands; the place of the table if it does not."""
        entry = self._entries.get(key)
        return entry.place if entry else self.place

    def problem(self, place: Place, what: str, help: str = "") -> None:  # noqa: A002 (the field's name everywhere)
        """Note a problem."""
        self.reading.problems.add(place, what, help)

    def __iter__(self) -> Iterator[str]:
        """Every key, in the order of the file."""
        return iter(self._entries)

    def require(self, *keys: str) -> None:
        """Note each key that is not there."""
        for key in keys:
            if key not in self and self._is_table:
                self.problem(self.place, f"{self.where} has no `{key}`", f"add `{key}: …`")

    def close(self) -> None:
        """Note every key that nobody asked for."""
        for key, entry in self._entries.items():
            if key not in self._asked:
                what = f"unknown key {shown(key)} in {self.where}"
                is_secret = "credential" in self._asked and CREDENTIAL_WORD.search(key)
                self.problem(
                    entry.place, what, nearest("credential" if is_secret else key, self._asked)
                )

    def says(self, key: str, word: str) -> bool:
        """Whether a key stands there with exactly this word."""
        entry = self._entries.get(key)
        return entry is not None and isinstance(entry.value, Text) and entry.value.text == word

    def node(self, key: str) -> Node | None:
        """The value of a key as it stands; nothing at all is a problem."""
        if key not in self:
            return None
        node = self._entries[key].value
        if isinstance(node, Text) and node.is_nothing:
            self.problem(node.place, f"`{key}` in {self.where} has no value")
            return None
        return node

    def item(self, key: str) -> Item | None:
        """A single text."""
        node = self.node(key)
        if node is None:
            return None
        if not isinstance(node, Text):
            self.problem(node.place, f"`{key}` in {self.where} must be text, not {kind(node)}")
            return None
        value = self.reading.text(node)
        return None if value is None else Item(value, node.text, node.place)

    def text(
        self, key: str, default: str = "", *, pattern: re.Pattern[str] = _NAME, rule: str = ""
    ) -> str:
        """A text that a pattern allows; `rule` says in words what it allows."""
        item = self.item(key)
        if item is None:
            return default
        if not pattern.fullmatch(item.value):
            what = f"`{key}` in {self.where} cannot be {shown(item.written)}"
            self.problem(item.place, what, rule or _NAME_HELP)
            return default
        return item.value

    def word(self, key: str, default: _Word) -> _Word:
        """One of the words of an enumeration."""
        item = self.item(key)
        if item is None:
            return default
        words = [str(member) for member in type(default)]
        if item.value in words:
            return type(default)(item.value)
        what = f"unknown {key} {shown(item.written)} in {self.where}"
        self.problem(item.place, what, nearest(item.written, words))
        return default

    def whole(
        self, key: str, default: int | None = None, *, least: int = 0, most: int = 10**9
    ) -> int | None:
        """A whole number within bounds."""
        item = self.item(key)
        return default if item is None else self._whole(key, item, default, least, most)

    def limit(
        self, key: str, default: int | None, *, least: int = 1, most: int = 10**9
    ) -> int | None:
        """A whole number, or `unlimited`, which gives None."""
        item = self.item(key)
        if item is None:
            return default
        return None if item.value == _UNLIMITED else self._whole(key, item, default, least, most)

    def _whole(
        self, key: str, item: Item, default: int | None, least: int, most: int
    ) -> int | None:
        if not _WHOLE.fullmatch(item.value):
            what = f"`{key}` in {self.where} must be a whole number, not {shown(item.written)}"
            self.problem(item.place, what)
            return default
        value = int(item.value)
        if not least <= value <= most:
            what = f"`{key}` in {self.where} cannot be {shown(item.written)}"
            self.problem(item.place, what, f"between {least} and {most}")
            return default
        return value

    def decimal(self, key: str) -> Decimal | None:
        """A number with or without decimals, exactly as written."""
        item = self.item(key)
        if item is None:
            return None
        if not _DECIMAL.fullmatch(item.value):
            what = f"`{key}` in {self.where} must be a number, not {shown(item.written)}"
            self.problem(item.place, what, "write it plainly, for example 0.25")
            return None
        return Decimal(item.value)

    def ratio(self, key: str, default: float, *, above: float, most: float) -> float:
        """A number within bounds, `above` excluded."""
        value = self.decimal(key)
        if value is None:
            return default
        if not above < value <= most:
            what = f"`{key}` in {self.where} is out of range"
            self.problem(self.at(key), what, f"above {above:g}, at most {most:g}")
            return default
        return float(value)

    def items(self, key: str) -> tuple[Item, ...]:
        """A list of texts, each once."""
        node = self.node(key)
        if node is None:
            return ()
        if not isinstance(node, Items):
            self.problem(
                node.place,
                f"`{key}` in {self.where} must be a list, not {kind(node)}",
                f"write `{key}: [first, second]`",
            )
            return ()
        return tuple(self._texts(key, node))

    def _texts(self, key: str, node: Items) -> Iterator[Item]:
        for element in node.items:
            if isinstance(element, Text) and not element.is_nothing:
                value = self.reading.text(element)
                if value is not None:
                    yield Item(value, element.text, element.place)
            else:
                what = f"each of `{key}` in {self.where} must be text, not {kind(element)}"
                self.problem(element.place, what)

    def distinct(self, key: str) -> tuple[Item, ...]:
        """A list of texts in which none may stand twice."""
        items = self.items(key)
        seen: set[str] = set()
        for item in items:
            if item.value in seen:
                what = f"{shown(item.written)} stands twice in `{key}` of {self.where}"
                self.problem(item.place, what)
            seen.add(item.value)
        return items

    def reference(self, item: Item, kind: str, declared: Mapping[str, object]) -> bool:
        """Whether what an item names is declared; notes it if not."""
        if item.value in declared:
            return True
        what = f"unknown {kind} {shown(item.written)} in {self.where}"
        self.problem(item.place, what, nearest(item.written, declared))
        return False

    def credential(self, key: str = "credential") -> str | None:
        """The name of what holds a secret: a variable, or one of `secrets` (by `key_of`).

        A literal is refused, and not repeated.
        """
        node = self.node(key)
        named = sole_secret(node.text) if isinstance(node, Text) else None
        if node is not None and named is not None:
            what = f"`{key}` in {self.where}"
            return self.reading.use(named, node.place, what, is_sent=True)
        help_ = f'write `{key}: "${{NAME}}"` and set NAME, or "${{secret:NAME}}"'
        return self._variable(key, "an environment variable or a secret", help_)

    def variable(self, key: str) -> str | None:
        """The name of the variable that holds a secret, as `credential`."""
        help_ = f'write `{key}: "${{NAME}}"` and set NAME'
        return self._variable(key, "an environment variable", help_)

    def _variable(self, key: str, to: str, help_: str) -> str | None:
        node = self.node(key)
        if node is None:
            return None
        name = sole_reference(node.text) if isinstance(node, Text) else None
        if name is None:
            what = f"`{key}` in {self.where} must be a reference to {to}"
            self.problem(node.place, what, f"{help_}; a secret never stands in this file")
            return None
        self.reading.secret(name, node.place)
        return name

    def section(self, key: str, where: str, example: str = "") -> "Section | None":
        """A table within this one."""
        node = self.node(key)
        return None if node is None else Section(node, where, self.reading, example)

    def named(
        self, key: str, noun: str, *, pattern: re.Pattern[str] = _NAME, rule: str = ""
    ) -> Iterator[tuple[str, "Section"]]:
        """The definitions in a table of names; those with an unusable name are left out."""
        section = self.section(key, f"`{key}`")
        if section is None:
            return
        for name, entry in section._entries.items():  # noqa: SLF001 (of the same class)
            if pattern.fullmatch(name):
                yield name, Section(entry.value, f"{noun} {shown(name)}", self.reading)
            else:
                what = f"{shown(name)} is not a valid {noun} name"
                self.problem(entry.place, what, rule or _NAME_HELP)

    def names(self, key: str) -> Mapping[str, Entry]:
        """The names that a table of this section declares, without judging them."""
        self._asked.add(key)
        entry = self._entries.get(key)
        return entry.value.entries if entry and isinstance(entry.value, Table) else {}
