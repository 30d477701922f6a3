"""Which model call asked for a command: agents hand a shell the very text that the model wrote."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ringfence.domain.action import ActionKind
from ringfence.domain.exchange import Part, Reading

_LEAST: Final = 2
"""Characters of a text that says anything; one may stand anywhere."""
_CALLS_KEPT: Final = 200
"""How many calls of a model are looked through for one command; agents act soon."""


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """One step as far as joining needs it. `within` is the command that began a command."""

    action: str
    kind: str
    within: str
    reading: Reading | None


def askers(steps: Sequence[Ran]) -> dict[str, str]:
    """By the action of a command that of the model call whose text it holds; in order of time.

    What such a command begins is asked for by the same call.
    """
    found: dict[str, str] = {}
    texts: list[tuple[str, str]] = []
    for step in steps:
        if step.kind == ActionKind.MODEL_CALL:
            texts += [(step.action, text) for text in _texts(step.reading)]
            del texts[:-_CALLS_KEPT]
        elif step.kind == ActionKind.SHELL_EXEC:
            asker = found.get(step.within) or _asker(step.reading, texts)
            if asker:
                found[step.action] = asker
    return found


def _asker(reading: Reading | None, texts: Sequence[tuple[str, str]]) -> str:
    """The latest call one of whose texts stands in an argument; the longest text of it."""
    arguments = [part.text for part in _parts(reading) if part.kind == "argument"][1:]
    for action, text in reversed(texts):
        if any(text in argument for argument in arguments):
            return action
    return ""


def _texts(reading: Reading | None) -> Iterator[str]:
    for part in _parts(reading):
        if part.kind == "tool_call":
            yield from _strings(part.text)


def _strings(arguments: str) -> Iterator[str]:
    try:
        found = msgspec.json.decode(arguments, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError):
        return
    for value in found.values():
        if isinstance(value, str) and len(value.strip()) >= _LEAST:
            yield value
        elif isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            yield str(value[-1])  # as Codex gives it: ["bash", "-lc", TEXT]


def _parts(reading: Reading | None) -> Sequence[Part]:
    return () if reading is None or reading.answer is None else reading.answer.parts
