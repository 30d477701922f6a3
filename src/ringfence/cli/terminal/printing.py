"""Writing to standard output and standard error: lines, JSON, and signs of life."""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from ringfence.cli.terminal.moment import iso
from ringfence.cli.terminal.text import harmless, is_plain

_PATIENCE_S = 1.0
_BASIC_PLANE = 0x10000
_MOMENTS = frozenset(
    {
        "created_us",
        "last_us",
        "opened_us",
        "revoked_us",
        "started_us",
        "state_changed_us",
        "window_end_us",
        "window_start_us",
    }
)
"""Fields of the API's listings that are times, not spans."""


def say(lines: Iterable[str]) -> None:
    """Write lines to standard output. They must be harmless already."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def hint(text: str) -> None:
    """Write a line to standard error, so that it does not mix with what a program reads."""
    sys.stderr.write(f"{harmless(text)}\n")


def say_json(document: object) -> None:
    """Write a document, indented; the same document, but harmless on any terminal."""
    data = msgspec.json.format(msgspec.json.encode(document), indent=2)
    say([harmless_json(data.decode())])


def say_listing(items: Sequence[msgspec.Raw]) -> None:
    """Write a listing as one JSON array; times are there in ISO 8601 too, as `…_at`."""
    say_json([with_moments(msgspec.json.decode(item)) for item in items])


def with_moments(item: object) -> object:
    """A decoded JSON value with `created_at` beside each `created_us`, at every depth."""
    if isinstance(item, list):
        return [with_moments(each) for each in item]
    if not isinstance(item, dict):
        return item
    more: dict[str, object] = {}
    for name, value in item.items():
        more[name] = with_moments(value)
        if name in _MOMENTS:
            more[name.removesuffix("_us") + "_at"] = None if value is None else iso(int(value))
    return more


def harmless_json(text: str) -> str:
    r"""JSON text that says the same and moves no terminal: `\u009b` for the character itself."""
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(
        character if character == "\n" or is_plain(character) else _escaped(ord(character))
        for character in text
    )


@contextmanager
def progress(what: str) -> Iterator[Callable[[], None]]:
    """Say what is being done, once, if it takes more than a second and a person looks on.

    Gives what to call when it is done before the context ends.
    """
    timer = threading.Timer(_PATIENCE_S, hint, (f"{what} …",))
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield timer.cancel
    finally:
        timer.cancel()


def _escaped(code: int) -> str:
    if code < _BASIC_PLANE:
        return f"\\u{code:04x}"
    high, low = divmod(code - _BASIC_PLANE, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
