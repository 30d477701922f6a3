"""Makes the stored bodies of a request through egress readable, as a trace shows them."""

from ringfence.domain.exchange import Message, Part, Reading


class HttpReader:
    """Implements `dialect.Reader` for requests; what is no text is told by its size."""

    def read_exchange(self, request: bytes, response: bytes, *, streamed: bool) -> Reading:
        """Read both bodies, as much of them as was kept."""
        del streamed
        parts = [
            Part(kind=kind, text=_text(body))
            for kind, body in (("sent", request), ("received", response))
            if body
        ]
        return Reading(answer=Message(role="http", parts=parts))


def _text(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    is_text = text.count("\N{REPLACEMENT CHARACTER}") * 50 < len(text) and "\0" not in text
    return text if is_text else f"({len(body)} bytes that are no text)"
