"""What one worker remembers of results for a while: good answers, and the rest of long ones.

Both are bounded in bytes, the oldest goes first, and each is for whoever got it alone.
"""

from collections import OrderedDict
from typing import Final, Generic, TypeVar, final

import msgspec

from ringfence.domain.tool import ToolKey
from ringfence.enforcement.directory import Caller
from ringfence.protocols.tool_result import ToolResult, cut, error

BYTES_MAX: Final = 32 * 1024 * 1024
"""Of each of the two kinds."""
REST: Final = ToolKey(server="ringfence", name="rest")
"""The built-in tool that reads on in a long result."""
REST_TOOL: Final = msgspec.json.encode(
    {
        "name": REST.name,
        "title": "Read the rest of a long result",
        "description": "Gives the next part of a tool's result that was too long to be given at "
        "once. The note at the end of each part says with which arguments to go on.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "result": {"type": "string", "description": "The id that the note gives."},
                "offset": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "From which byte on, as the note gives it.",
                },
            },
            "required": ["result", "offset"],
            "additionalProperties": False,
        },
        "annotations": {"readOnlyHint": True},
    }
)
"""The tool as clients are shown it."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_Owner = tuple[str, str, str]


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    result: str
    offset: int


@final
class _Bounded(Generic[_Key, _Value]):
    """A table that forgets the oldest when it holds too many bytes."""

    def __init__(self, bytes_max: int) -> None:
        self._max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[_Key, tuple[_Value, int]] = OrderedDict()

    def put(self, key: _Key, value: _Value, size: int) -> None:
        _, before = self._kept.pop(key, (None, 0))
        self._bytes -= before
        if size > self._max // 2:
            return
        self._kept[key] = (value, size)
        self._bytes += size
        while self._bytes > self._max:
            _, (_, gone) = self._kept.popitem(last=False)
            self._bytes -= gone

    def get(self, key: _Key) -> _Value | None:
        found = self._kept.get(key)
        return None if found is None else found[0]


@final
class ToolMemory:
    """Used by one event loop. Times are microseconds of the monotonic clock."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        """Nothing is remembered yet."""
        self._answers: _Bounded[tuple[_Owner, str, bytes], tuple[bytes, int]] = _Bounded(bytes_max)
        self._rests: _Bounded[tuple[_Owner, str], tuple[ToolResult, int]] = _Bounded(bytes_max)

    def keep_answer(
        self, caller: Caller, key: ToolKey, arguments: bytes, raw: bytes, now_us: int
    ) -> None:
        """A call has brought a good answer."""
        place = (_owner(caller), key.merged, arguments)
        self._answers.put(place, (raw, now_us), len(raw) + len(arguments))

    def answer(self, caller: Caller, key: ToolKey, arguments: bytes) -> tuple[bytes, int] | None:
        """The last good answer to the same call of the same agent for the same user, and when."""
        return self._answers.get((_owner(caller), key.merged, arguments))

    def keep_rest(self, caller: Caller, action: str, result: ToolResult, piece_bytes: int) -> None:
        """A result is given in pieces of so many bytes."""
        size = len(result.structured) + sum(map(len, result.texts))
        self._rests.put((_owner(caller), action), (result, piece_bytes), size)

    def rest(self, caller: Caller, arguments: bytes) -> bytes:
        """What the built-in tool answers."""
        try:
            asked = msgspec.json.decode(arguments, type=_Asked)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return error("Give `result` and `offset` as the note at the end of the part says.")
        found = self._rests.get((_owner(caller), asked.result))
        if found is None:
            return error(
                "The rest of that result is not kept any more. Call the tool again, and ask for "
                "less at once."
            )
        result, piece_bytes = found
        return piece(result, asked.result, asked.offset, piece_bytes)


def piece(result: ToolResult, action: str, start: int, length: int) -> bytes:
    """One part of a long result, with how to get the next."""
    text, end, whole = cut(result, start, length)
    items = [{"type": "text", "text": text}]
    if end < whole:
        note = (
            f"bytes {start} to {end} of {whole} of this result. For more call the tool "
            f'`{REST.merged}` with {{"result": "{action}", "offset": {end}}}'
        )
        items.append({"type": "text", "text": f"[Note from Ringfence: {note}]"})
    return msgspec.json.encode({"content": items})


def _owner(caller: Caller) -> _Owner:
    runtime = caller.runtime
    principal = runtime.principal
    return runtime.organisation.id, runtime.id, "" if principal is None else principal.id
