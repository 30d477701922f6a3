"""Which model call asked for a tool call: told by its own id, else by name and arguments."""

from collections.abc import Sequence

import msgspec

from ringfence.domain.action import ActionKind
from ringfence.domain.exchange import Part, Reading


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One step as far as joining needs it."""

    action: str
    kind: str
    resource: str
    """The tool as `server__tool`; anything for other steps."""
    call_id: str
    reading: Reading | None
    tool_calls: tuple[str, ...] = ()
    """Names of the tools that a model asked for, where its answer is not kept."""
    is_held: bool = False
    """It waits for a person: the same call comes again when it is carried out."""


def askers(steps: Sequence[Asked]) -> dict[str, str]:
    """By the action of a tool call that of the model call which asked for it; in order of time.

    A model's call of a tool is answered by one call: of two equal ones each has its own.
    """
    found: dict[str, str] = {}
    open_calls: list[tuple[str, Part]] = []
    for step in steps:
        if step.kind == ActionKind.MODEL_CALL:
            open_calls += [(step.action, part) for part in _calls(step)]
        elif step.kind == ActionKind.TOOL_CALL:
            at = _match(step, open_calls)
            if at is not None:
                found[step.action] = open_calls[at][0]
                if not step.is_held:
                    del open_calls[at]
    return found


def _calls(step: Asked) -> list[Part]:
    answer = None if step.reading is None else step.reading.answer
    if answer is None:
        return [Part(kind="tool_call", name=name) for name in step.tool_calls]
    return [part for part in answer.parts if part.kind == "tool_call"]


def _match(step: Asked, open_calls: Sequence[tuple[str, Part]]) -> int | None:
    """The best of what is open: by id, by name and arguments, by name alone; the latest first."""
    places = range(len(open_calls) - 1, -1, -1)
    if step.call_id:
        for at in places:
            if open_calls[at][1].id == step.call_id:
                return at
    named = [at for at in places if _is_named(open_calls[at][1].name, step.resource)]
    arguments = _value(_arguments(step))
    alike = [at for at in named if _value(open_calls[at][1].text) == arguments]
    if alike:
        return alike[-1]  # of equal calls the first is made first
    silent = [at for at in named if not open_calls[at][1].text]
    return silent[-1] if silent else None


def _is_named(name: str, resource: str) -> bool:
    """Clients put a prefix before a tool's name, know it by that alone, write `_` for `-`."""
    resource, name = resource.replace("-", "_"), name.replace("-", "_")
    own = resource.partition("__")[2]
    return name in {resource, own} or name.endswith((f"_{own}", f".{own}"))


def _arguments(step: Asked) -> str:
    answer = None if step.reading is None else step.reading.answer
    parts = [] if answer is None else answer.parts
    return next((part.text for part in parts if part.kind == "tool_call"), "")


def _value(text: str) -> object:
    """Arguments as JSON, so that spaces and the order of fields do not matter."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
