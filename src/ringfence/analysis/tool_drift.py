"""How the tools that a source lists stand to what of them is pinned."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ringfence.analysis.tool_pin import content_of, pin_of
from ringfence.analysis.tool_text import hidden, skeleton
from ringfence.domain.tool import ToolDefinition, ToolState


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One tool: the definition in force, how it stands, and why.

    `definition` is the pinned one, or the listed one where none is pinned. `listed` is what the
    source says now; None if it says nothing of it.
    """

    definition: ToolDefinition
    pin: str
    state: ToolState
    why: str = ""
    listed: ToolDefinition | None = None


def judge(
    listing: Sequence[ToolDefinition] | None,
    pinned: Mapping[str, ToolDefinition],
    elsewhere: Mapping[str, str],
) -> dict[str, Standing]:
    """Judge every listed and every pinned tool of one source, in the order of the listing.

    `listing` is None while the source has not been asked. `elsewhere` gives, by the skeleton of
    its name, a tool of another source that had it first (`crm__refund`).
    """
    if listing is None:
        return {name: _in_force(each) for name, each in pinned.items()}
    listed = {each.key.name: each for each in listing}
    gone = {name: each for name, each in pinned.items() if name not in listed}
    former = {content_of(each): name for name, each in gone.items()}
    twice = _repeated(listing)
    looks = _looks(listing)
    found: dict[str, Standing] = {}
    for name, each in listed.items():
        if name in twice:
            found[name] = _held(each, ToolState.QUARANTINED, twice[name])
        elif name in pinned:
            found[name] = _against(pinned[name], each)
        else:
            found[name] = _unpinned(each, former, looks, elsewhere)
    later = {
        former[content_of(each.definition)]: name
        for name, each in found.items()
        if each.state is ToolState.RENAMED
    }
    for name, each in gone.items():
        now = f"; `{later[name]}` has its content" if name in later else ""
        found[name] = Standing(
            definition=each,
            pin=pin_of(each),
            state=ToolState.REMOVED,
            why=f"its server does not list it any more{now}",
        )
    return found


def _in_force(pinned: ToolDefinition) -> Standing:
    return Standing(definition=pinned, pin=pin_of(pinned), state=ToolState.OK)


def _against(pinned: ToolDefinition, listed: ToolDefinition) -> Standing:
    pin = pin_of(pinned)
    if pin_of(listed) == pin:
        return Standing(definition=pinned, pin=pin, state=ToolState.OK, listed=listed)
    return Standing(
        definition=pinned,
        pin=pin,
        state=ToolState.CHANGED,
        why="it is not defined any more as it was when it was accepted",
        listed=listed,
    )


def _unpinned(
    listed: ToolDefinition,
    former: Mapping[str, str],
    looks: Mapping[str, Sequence[str]],
    elsewhere: Mapping[str, str],
) -> Standing:
    problem = _unsafe(listed, looks)
    if problem:
        return _held(listed, ToolState.QUARANTINED, problem)
    before = former.get(content_of(listed))
    if before is not None:
        return _held(listed, ToolState.RENAMED, f"it has the content of `{before}`, which is gone")
    first = elsewhere.get(skeleton(listed.key.name))
    if first is not None:
        return _held(listed, ToolState.SHADOWED, f"`{first}` had this name, or one like it, first")
    return _held(listed, ToolState.NEW, "nobody has accepted it yet")


def _held(listed: ToolDefinition, state: ToolState, why: str) -> Standing:
    return Standing(definition=listed, pin=pin_of(listed), state=state, why=why, listed=listed)


def trusted(
    listing: Sequence[ToolDefinition], elsewhere: Mapping[str, str]
) -> tuple[ToolDefinition, ...]:
    """What of a source's first listing is trusted: all but what speaks against itself."""
    looks = _looks(listing)
    twice = _repeated(listing)
    return tuple(
        each
        for each in listing
        if each.key.name not in twice
        and not _unsafe(each, looks)
        and skeleton(each.key.name) not in elsewhere
    )


def _looks(listing: Sequence[ToolDefinition]) -> dict[str, list[str]]:
    """The names of a listing by what they look like."""
    found: dict[str, list[str]] = {}
    for each in listing:
        found.setdefault(skeleton(each.key.name), []).append(each.key.name)
    return found


def _unsafe(tool: ToolDefinition, looks: Mapping[str, Sequence[str]]) -> str:
    """Why a tool must not be trusted at first sight; empty if nothing speaks against it."""
    signs = tuple(
        dict.fromkeys(sign for text in texts_of(json.loads(tool.raw)) for sign in hidden(text))
    )
    if signs:
        return f"it holds characters that people do not see ({', '.join(signs[:3])})"
    for name in looks.get(skeleton(tool.key.name), ()):
        if name != tool.key.name:
            return f"its name looks like `{name}`, which its server lists too"
    if not tool.key.name.isascii():
        return "its name has letters that are not Latin"
    return ""


def texts_of(value: object) -> Iterator[str]:
    """Every text and every name within a JSON value."""
    match value:
        case str():
            yield value
        case dict():
            for name, each in value.items():
                yield str(name)
                yield from texts_of(each)
        case list():
            for each in value:
                yield from texts_of(each)
        case _:
            pass


def _repeated(listing: Sequence[ToolDefinition]) -> dict[str, str]:
    """Names that one listing has twice: nobody can say which of them is called."""
    seen: set[str] = set()
    twice: dict[str, str] = {}
    for each in listing:
        name = each.key.name
        if name in seen:
            twice[name] = "its server lists two tools by this name"
        seen.add(name)
    return twice
