"""Scripts: what a YAML file may say, checked as a whole before the first answer."""

import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from ringfence.domain.error import UsageError
from ringfence.domain.model import Dialect

Count = Annotated[int, Meta(ge=0)]
Finish = Literal["stop", "length", "tool_calls", "refusal"]
Format = Literal[1]


class ScriptedUsage(Struct, frozen=True, forbid_unknown_fields=True):
    """Exact counts, named as in `domain.usage`; what is left out is counted.

    `input_tokens` includes cached and cache-written tokens, `cache_write_tokens` those kept for an
    hour, `output_tokens` reasoning.
    """

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    cache_write_1h_tokens: Count = 0
    reasoning_tokens: Count | None = None


class Faults(Struct, frozen=True, forbid_unknown_fields=True):
    """What goes wrong with an answer. A chunk is one event of a stream."""

    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    """Answer with this status and `body`, else with the dialect's own error document."""
    body: str | dict[str, Any] | None = None
    headers: dict[str, str] = {}
    delay_ms: Count = 0
    hang: bool = False
    """Never answer."""
    close: bool = False
    """Close the connection without an answer."""
    trickle_ms: Count = 0
    """Wait this long before each chunk."""
    cut_after_chunks: Count | None = None
    """Close the connection there; half a body if the answer is not streamed."""
    hang_after_chunks: Count | None = None
    malformed_after_chunks: Count | None = None
    """Send a broken chunk there; a broken body if the answer is not streamed."""
    error_after_chunks: Count | None = None
    """Send the dialect's in-stream error there and end; status 500 if not streamed."""
    stream_error: str | None = None
    """The bytes of that in-stream error, if not the dialect's own."""
    ignore_output_limit: bool = False
    runaway_tokens: Annotated[int, Meta(ge=1)] | None = None
    """Repeat the text until it has this many tokens, whatever limit the request gave."""


class ScriptedCall(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call to make; `arguments` as text are sent as they stand, valid JSON or not."""

    name: str
    arguments: dict[str, Any] | str = {}


class ScriptedAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """One answer."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ScriptedCall, ...] = ()
    usage: ScriptedUsage | Literal["none", "zero"] | None = None
    finish: Finish | None = None
    model: str | None = None
    """The model name to give in the answer, if not the one asked for."""
    faults: Faults = Faults()


class When(Struct, frozen=True, forbid_unknown_fields=True):
    """Which requests a rule answers: all that is named must hold.

    `model` and the values of `headers` are shell patterns; `user`, `tool_result` are regular
    expressions, searched without regard to case.
    """

    dialect: Dialect | None = None
    model: str | None = None
    user: str | None = None
    tool_result: str | None = None
    tool_results: bool | None = None
    turn: Annotated[int, Meta(ge=1)] | None = None
    stream: bool | None = None
    headers: dict[str, str] = {}
    tools: tuple[str, ...] = ()
    """Tools that the request must declare."""
    asks_for_tool: bool | None = None
    """Whether the user's text asks for a declared tool by name (“call …”, “use …”, “run …”)."""


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """A condition with one answer, or with several that are given in turn (the last one stays)."""

    name: str = ""
    when: When = When()
    answer: ScriptedAnswer | None = None
    answers: tuple[ScriptedAnswer, ...] = ()

    @property
    def sequence(self) -> tuple[ScriptedAnswer, ...]:
        """The answers in turn; never empty in a checked script."""
        return self.answers if self.answer is None else (self.answer,)


class Script(Struct, frozen=True, forbid_unknown_fields=True):
    """A whole script; the first rule that holds answers."""

    format: Format
    rules: tuple[Rule, ...]
    models: tuple[str, ...] = ("scripted-model",)
    """What the models endpoint lists; answers are given under any name."""


def load(path: Path) -> Script:
    """Read a script. Raises UsageError `script_missing` or `script_invalid`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("script_missing", f"cannot read script `{path}`: {error}") from error
    return parse(text, source=str(path))


def default() -> Script:
    """The built-in script: calls a tool when asked to, else repeats what it was told."""
    text = (resources.files(__package__) / "default.yaml").read_text(encoding="utf-8")
    return parse(text, source="default.yaml")


def parse(text: str, *, source: str = "script") -> Script:
    """Check a script as a whole. Raises UsageError `script_invalid`."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _invalid(source, f"not YAML: {' '.join(str(error).split())}") from error
    try:
        script = msgspec.convert(document, Script)
    except msgspec.ValidationError as error:
        raise _invalid(source, _explain(str(error), document)) from error
    for number, rule in enumerate(script.rules):
        _check(rule, f"{source}: rule {_title(document, number)}")
    return script


def _check(rule: Rule, place: str) -> None:
    if (rule.answer is None) == (not rule.answers):
        raise _invalid(place, "give either `answer` or `answers`")
    for key in ("user", "tool_result"):
        pattern = getattr(rule.when, key)
        try:
            re.compile(pattern or "")
        except re.error as error:
            problem = f"`when.{key}` is not a regular expression: {error}"
            raise _invalid(place, problem) from error


def _invalid(place: str, problem: str) -> UsageError:
    return UsageError("script_invalid", f"{place}: {problem}", help="see docs/testing.md")


def _explain(error: str, document: object) -> str:
    """Turn msgspec's "… - at `$.rules[0].when`" into words that name the rule."""
    problem, _, path = error.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    problem = problem[:1].lower() + problem[1:]
    place = re.match(r"rules\[(\d+)\]\.?", path)
    if place is None:
        return f"`{path}`: {problem}" if path else problem
    rest = path[place.end() :]
    where = f"rule {_title(document, int(place[1]))}"
    return f"{where}: `{rest}`: {problem}" if rest else f"{where}: {problem}"


def _title(document: Any, number: int) -> str:  # noqa: ANN401 (not yet checked)
    rule = document["rules"][number]
    name = rule.get("name") if isinstance(rule, dict) else None
    return f"{number + 1} (`{name}`)" if name else str(number + 1)
