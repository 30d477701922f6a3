"""Makes a stored command readable: its line and where it ran, as a trace shows it."""

import msgspec

from ringfence.domain.exchange import Message, Part, Reading


class _Command(msgspec.Struct):
    line: str = ""
    path: str = ""
    argv: list[str] = []
    directory: str = ""


class CommandReader:
    """Implements `dialect.Reader` for commands."""

    def read_exchange(self, request: bytes, response: bytes, *, streamed: bool) -> Reading:
        """Read what was decided on, and what an agent tells of the end by itself."""
        del streamed
        try:
            found = msgspec.json.decode(request, type=_Command)
        except msgspec.DecodeError:  # what was masked may be no JSON any more
            found = _Command(line=request.decode("utf-8", "replace"))
        parts = [
            Part(kind="command", text=found.line, name=found.path),
            Part(kind="directory", text=found.directory),
            *(Part(kind="argument", text=each) for each in found.argv),
        ]
        if response:
            parts.append(Part(kind="tool_result", text=response.decode("utf-8", "replace")))
        return Reading(answer=Message(role="command", parts=parts))
