"""References: `${NAME}` to a variable, `${secret:NAME}` to a secret; `$${` is a literal `${`."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_TOKEN = re.compile(rf"\$\$\{{|\$\{{(?P<name>{_NAME})\}}|(?P<broken>\$\{{)")
_WHOLE = re.compile(rf"\$\{{({_NAME})\}}")
_SECRET = re.compile(r"\$\{secret:([^${}]*)\}")
_MIXED = re.compile(rf"\$\$\{{|{_SECRET.pattern}|{_TOKEN.pattern}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """A text with its references replaced; `missing` are variables without a value."""

    value: str
    missing: tuple[str, ...] = ()
    is_broken: bool = False
    """Whether a `${` stands there that begins no reference."""


def expand(text: str, environment: Mapping[str, str]) -> Expansion:
    """Replace every reference. An empty variable counts as missing."""
    if "${" not in text:
        return Expansion(value=text)
    tokens = list(_TOKEN.finditer(text))
    names = [match["name"] for match in tokens if match["name"]]

    def replacement(match: re.Match[str]) -> str:
        return environment.get(match["name"], "") if match["name"] else "${"

    return Expansion(
        value=_TOKEN.sub(replacement, text),
        missing=tuple(name for name in dict.fromkeys(names) if not environment.get(name)),
        is_broken=any(match["broken"] for match in tokens),
    )


def references(text: str) -> Sequence[str]:
    """The names that a text refers to, in order."""
    return [match["name"] for match in _TOKEN.finditer(text) if match["name"]]


def sole_reference(text: str) -> str | None:
    """The name, if the whole text is exactly one reference."""
    match = _WHOLE.fullmatch(text)
    return match[1] if match else None


def sole_secret(text: str) -> str | None:
    """The name that stands in the text, if that is exactly one reference to a secret."""
    match = _SECRET.fullmatch(text)
    return match[1] if match else None


def names_secret(text: str) -> bool:
    """Whether a reference to a secret stands in the text."""
    return any(match[1] is not None for match in _MIXED.finditer(text))


def is_broken(text: str) -> bool:
    """Whether a `${` stands there that begins no reference, to a variable or a secret."""
    return any(match["broken"] for match in _MIXED.finditer(text))


def with_keys(text: str, key: Callable[[str], str]) -> str:
    """The text with `${secret:NAME}` as `${KEY}`; references to variables stay as they are."""

    def replacement(match: re.Match[str]) -> str:
        return match[0] if match[1] is None else "${" + key(match[1]) + "}"

    return _MIXED.sub(replacement, text)


class AnyValue(Mapping[str, str]):
    """An environment in which every variable is set: for who makes no call and needs no secret."""

    def __init__(self, real: Mapping[str, str]) -> None:
        """Give the real values where there are any."""
        self._real = real

    def __getitem__(self, name: str) -> str:
        """The real value, or something that is none."""
        return self._real.get(name) or "unset"

    def __iter__(self) -> Iterator[str]:
        """The real names."""
        return iter(self._real)

    def __len__(self) -> int:
        """How many there really are."""
        return len(self._real)

    def get(self, name: str, default: object = None) -> str:
        """As `__getitem__`: nothing is missing."""
        del default
        return self[name]
