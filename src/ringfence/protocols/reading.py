"""What the readers of all dialects share: stored bodies made readable, whatever they hold.

Readers serve people who look at a trace. They never raise and never decide: a body may be cut off,
malformed or empty, and as much as can be told of it is told.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Message, Part
from ringfence.protocols import sse, strict_json
from ringfence.protocols.lenient import decode, record, text

_SYSTEM_ROLES = frozenset({"system", "developer"})


def load(body: bytes) -> tuple[Mapping[str, object], Sequence[Part]]:
    """Build a stored body, and warn where another parser might build another one."""
    try:
        return record(strict_json.parse(body)), ()
    except PeerError as error:
        warning = Part(kind="other", text=f"can be read in more than one way: {error.message}")
    return lenient_load(body), (warning,) if body else ()


def lenient_load(body: bytes) -> Mapping[str, object]:
    """Build a stored body as most parsers would; empty if none could."""
    try:
        return record(decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def events(body: bytes) -> Iterator[Mapping[str, object]]:
    """The data of each event of a stored stream; what cannot be read is left out."""
    splitter = sse.Splitter()
    try:
        blocks = splitter.feed(body)
    except PeerError:
        return
    for block in (*blocks, splitter.rest()):
        data = sse.data_of(block)
        if data:
            stated = lenient_load(data)
            if stated:
                yield stated


def plain(value: object) -> str:
    """Text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else msgspec.json.encode(value).decode()
    except RecursionError:
        return "(nested too deeply to be shown)"


def image(url: object) -> Part:
    """An image by its address, or by its type and size when its bytes are in the body."""
    shown = text(url)
    if shown.startswith("data:"):
        head, _, data = shown.partition(",")
        shown = f"{head} ({len(data)} characters)"
    return Part(kind="image", text=shown)


def failure(error: object) -> Message:
    """An answer that is an error."""
    stated = record(error)
    return Message(
        role="error", parts=[Part(kind="other", text=plain(stated.get("message", error)))]
    )


def split_system(messages: Sequence[Message]) -> tuple[list[Part], list[Message]]:
    """The parts of the leading messages that instruct the model, and the conversation."""
    for place, message in enumerate(messages):
        if message.role not in _SYSTEM_ROLES:
            leading, rest = messages[:place], list(messages[place:])
            break
    else:
        leading, rest = messages, []
    return [part for message in leading for part in message.parts], rest
