"""Makes a stored command readable: its line and where it ran, as a trace shows it."""

import msgspec

from ringfence.domain.exchange import Message, Part, Reading


class _Cut(msgspec.Struct):
    bytes: int = 0
    sha256: str = ""
    more: bool = False


class _Command(msgspec.Struct):
    line: str = ""
    path: str = ""
    argv: list[str] = []
    directory: str = ""
    cut: _Cut | None = None


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
        if found.cut is not None:
            parts.append(Part(kind="cut", text=_told(found.cut)))
        if response:
            parts.append(Part(kind="tool_result", text=response.decode("utf-8", "replace")))
        return Reading(answer=Message(role="command", parts=parts))


def _told(cut: _Cut) -> str:
    more = ", and there were more" if cut.more else ""
    return f"{cut.bytes} bytes of words were read{more}: SHA-256 {cut.sha256}"
