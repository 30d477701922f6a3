"""Whether a JSON value is what a schema allows, told so that a model can mend what it sent.

The library is imported when the first schema is met: an agent that only calls models never loads
it. Nothing is ever fetched: a reference outside the schema makes it unusable.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, final

import msgspec

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

PROBLEMS_MAX = 5
"""How many a model is told at once; the rest shows when these are mended."""
_SHOWN_CHARACTERS = 120
_CHOICES_SHOWN = 20
_BACKTRACKS_MAX = 100_000
"""Steps of a pattern that needs look-around, for which there is no linear engine: some 10 ms."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong: where, what stands there, and what may stand there."""

    path: str
    """As in `address.lines[0]`; empty for the whole."""
    given: str
    allowed: str

    def __str__(self) -> str:
        """In one clause."""
        where = f"`{self.path}`" if self.path else "the whole"
        given = f" was given {self.given}, and" if self.given else ""
        return f"{where}{given} {self.allowed}"


@final
class SchemaCheck:
    """One schema, compiled once."""

    __slots__ = ("_validator", "unusable")

    def __init__(self, schema: bytes) -> None:
        """`unusable` says why the schema judges nothing; empty if it does."""
        self.unusable = ""
        self._validator: Validator | None = None
        try:
            self._validator = _compile(msgspec.json.decode(schema))
        except (ValueError, RecursionError) as error:
            self.unusable = _line(str(error)) or type(error).__name__

    def problems(self, document: bytes) -> tuple[Problem, ...]:
        """What is wrong with a JSON document; nothing if all is well or the schema is unusable."""
        try:
            value = msgspec.json.decode(document)
        except (msgspec.DecodeError, RecursionError):
            return (Problem(path="", given="", allowed="is no JSON that can be read"),)
        validator = self._validator
        if validator is None:
            return ()
        try:
            return () if validator.is_valid(value) else _told(validator.iter_errors(value))
        except (ValueError, RecursionError):  # a limit of the library, which what was read can pass
            return (Problem(path="", given="", allowed="is nested deeper than can be checked"),)


def _compile(schema: Any) -> "Validator":  # noqa: ANN401 (any JSON)
    import jsonschema_rs as library  # noqa: PLC0415 (see the module's text)

    try:
        return library.validator_for(schema, offline=True, pattern_options=library.RegexOptions())
    except ValueError:
        bounded = library.FancyRegexOptions(backtrack_limit=_BACKTRACKS_MAX)
        return library.validator_for(schema, offline=True, pattern_options=bounded)


def _told(errors: "Iterable[ValidationError]") -> tuple[Problem, ...]:
    found: list[Problem] = []
    for error in errors:
        found.append(_problem(error))
        if len(found) >= PROBLEMS_MAX:
            break
    return tuple(found)


def _problem(error: "ValidationError") -> Problem:
    kind: Any = error.kind
    steps, given = error.instance_path, _shown(error.instance)
    match kind.name:
        case "required":
            steps, given, allowed = [*steps, kind.property], "", "is missing and must be given"
        case "additionalProperties" | "unevaluatedProperties":
            names = ", ".join(f"`{_line(str(name))}`" for name in kind.unexpected[:_CHOICES_SHOWN])
            given, allowed = "", f"has no field {names}; leave it out"
        case "enum":
            choices = ", ".join(_shown(each) for each in kind.options[:_CHOICES_SHOWN])
            allowed = f"must be one of {choices}"
        case "type":
            allowed = f"must be of type {' or '.join(kind.types)}"
        case "const":
            allowed = f"must be {_shown(kind.expected_value)}"
        case "pattern":
            allowed = f"must match `{_line(kind.pattern)}`"
        case "format":
            allowed = f"must be a {_line(kind.format)}"
        case name if name in _BOUNDS:
            allowed = f"must {_BOUNDS[name]} {kind.limit}"
        case name:
            allowed = f"breaks the schema's `{name}`"
    return Problem(path=_path(steps), given=given, allowed=allowed)


_BOUNDS = {
    "minimum": "be at least",
    "maximum": "be at most",
    "exclusiveMinimum": "be more than",
    "exclusiveMaximum": "be less than",
    "minLength": "have characters, at least",
    "maxLength": "have characters, at most",
    "minItems": "have items, at least",
    "maxItems": "have items, at most",
    "minProperties": "have fields, at least",
    "maxProperties": "have fields, at most",
}


def _path(steps: Sequence[str | int]) -> str:
    path = ""
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if path else step
    return _line(path)


def _shown(value: object) -> str:
    """A value as JSON, cut short."""
    try:
        return _line(msgspec.json.encode(value).decode("utf-8", "replace"))
    except (TypeError, ValueError, RecursionError, OverflowError):
        return "a value"


def _line(text: str) -> str:
    """The first line of foreign text, printable and cut."""
    line = text.split("\n", 1)[0].replace("`", "'")
    shown = "".join(c if c.isprintable() else "?" for c in line[:_SHOWN_CHARACTERS])
    return f"{shown}…" if len(line) > _SHOWN_CHARACTERS else shown
