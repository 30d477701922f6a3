"""Rounds: what a model asked its tools for and what they answered, read from a conversation.

Each dialect reads its own messages (`chat.round` and its like) and puts them together here.
Reading is lenient: what has another shape than expected is left out. Nobody gains by that, for a
client that wants to hide a loop need only change a byte of each result. Before anything is written
into a request or stopped for it, the place is read strictly (`hint`).
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, TypeVar, final

import msgspec

from ringfence.domain.exchange import Round, ToolUse

Reader: TypeAlias = Callable[[Sequence[bytes], int], "Found"]
"""Given the messages of a request and where to begin."""

_T = TypeVar("_T")
_NEAR_BYTES = 256
_EDGE_BYTES = 96
_CODEX: Final = re.compile(rb"Chunk ID: \w+\\nWall time: [\d.]+ seconds\\n")
"""What Codex writes before the output of a command: an id of its own, and how long it took."""
_COPILOT: Final = re.compile(rb"<shellId: \d+ (?=[\w ]+>)")
"""What Copilot CLI writes after it: the number of the shell."""


class Found(msgspec.Struct, frozen=True):
    """What was read: the rounds in order, and the place of the first message still to be read.

    Calls whose results have not come are left for the next reading.
    """

    rounds: list[Round]
    read: int


def shows(message: bytes, mark: bytes) -> bool:
    """Whether a message has this word near its beginning or its end.

    That is where every client writes what a message is; searching 4 KB for it takes longer than all
    else that is watched about a call.
    """
    return mark in message[:_NEAR_BYTES] or mark in message[-_NEAR_BYTES:]


def decoded(decoder: msgspec.json.Decoder[_T], raw: bytes) -> _T | None:
    """A message; None if it has another shape or is nested too deeply."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def told(content: bytes) -> bytes:
    """A result, raw, without what a client counts at its edges: the tool said the same.

    Codex 0.169.0 and Copilot CLI 1.0.102 number every command, so that no two results were equal
    and no loop of their shells would show (`make journeys`).
    """
    head, tail = content[:_EDGE_BYTES], content[-_EDGE_BYTES:]
    if b"Chunk ID: " in head:
        content = _CODEX.sub(b"", head, count=1) + content[_EDGE_BYTES:]
    if b"<shellId: " in tail:
        content = content[:-_EDGE_BYTES] + _COPILOT.sub(b"<", tail, count=1)
    return content


@final
class Rounds:
    """Puts calls and results together; fed by a dialect in the order of its messages."""

    __slots__ = ("_began", "_calls", "_results", "rounds")

    def __init__(self) -> None:
        """Nothing read."""
        self.rounds: list[Round] = []
        self._calls: list[tuple[str, str, bytes]] = []
        self._results: list[tuple[str, bytes]] = []
        self._began = 0

    def call(self, place: int, name: str, arguments: bytes, id_: str) -> None:
        """The model, in the message at this place, asked for a tool."""
        if self._results:
            self._close()
        if not self._calls:
            self._began = place
        self._calls.append((id_, name, arguments))

    def result(self, content: bytes, id_: str) -> None:
        """What a tool answered."""
        if self._calls:
            self._results.append((id_, told(content)))

    def said(self) -> None:
        """Somebody spoke, not a tool."""
        self._close()
        if not self.rounds or self.rounds[-1]:
            self.rounds.append(())

    def found(self, end: int) -> Found:
        """Everything, when the message before `end` was the last."""
        if self._results:
            self._close()
        return Found(self.rounds, self._began if self._calls else end)

    def _close(self) -> None:
        calls, results = self._calls, self._results
        if results:
            self.rounds.append(_paired(calls, results))
        self._calls, self._results = [], []


def _paired(calls: list[tuple[str, str, bytes]], results: list[tuple[str, bytes]]) -> Round:
    """Each call with its result: by id where all ids differ, else in the order they came.

    Tools that work at the same time end in any order; some servers give all calls the same id.
    """
    by_id = dict(results)
    if len(by_id) == len(results) and all(id_ in by_id for id_, _, _ in calls):
        return tuple([ToolUse(name, arguments, by_id[id_]) for id_, name, arguments in calls])
    answers = [content for _, content in results]
    answers += [b""] * (len(calls) - len(answers))
    return tuple(
        [
            ToolUse(name, arguments, answer)
            for (_, name, arguments), answer in zip(calls, answers, strict=False)
        ]
    )
