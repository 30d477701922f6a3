"""An answer of a host with secrets as its agent may see it: none of them in head or body (I5)."""

from typing import Final, final

from ringfence.decisions.injection import GIVEN_HEADERS
from ringfence.protocols.content_coding import Undoing, is_identity
from ringfence.protocols.scrubbing import MessageScrubber, Scrub, Scrubber
from ringfence.transport.http import Headers

_TAKEN: Final = GIVEN_HEADERS | {b"content-encoding"}
_APART: Final = b"\0"
"""Stands between what is searched together: no field holds it, and it is no escape."""


@final
class CleanAnswer:
    """One answer without secrets: its head at once, its body as it comes.

    Where the body was encoded it is passed on plain, and `headers` say so; else all lengths stay.
    """

    __slots__ = ("_fields", "_headers", "_scrub", "_scrubber", "_undoing", "redactions")

    def __init__(self, scrub: Scrub, headers: Headers) -> None:
        """Take the head. Raises PeerError `answer_encoded` for a coding that cannot be undone."""
        self._scrub = scrub
        self._scrubber: Scrubber | None = None
        self.redactions: dict[str, int] = {}
        self._undoing: Undoing | None = None
        kept = [each for each in headers if each[0] not in _TAKEN]
        if len(kept) < len(headers):
            codings = [value for name, value in headers if name == b"content-encoding"]
            coding = b",".join(codings)
            if not (scrub.is_idle or is_identity(coding)):
                self._undoing = Undoing(coding)
                kept = [each for each in kept if each[0] != b"content-length"]
            elif codings:
                kept = [each for each in headers if each[0] not in GIVEN_HEADERS]
        self._fields: Headers = kept
        self._headers: Headers | None = None

    @property
    def headers(self) -> Headers:
        """The fields of its head."""
        if self._headers is None:
            self._headers = self.fields(self._fields)
        return self._headers

    @property
    def is_decoded(self) -> bool:
        """Whether the body is passed on in another coding than it comes in, and of other length."""
        return self._undoing is not None

    def feed(self, chunk: bytes) -> bytes:
        """What of the body may pass on now. Raises PeerError `answer_encoded`."""
        plain = chunk if self._undoing is None else self._undoing.feed(chunk)
        return self._scrubbing().feed(plain)

    def whole(self, body: bytes) -> bytes:
        """A body that came at once. Raises as `finish`."""
        if self._undoing is not None:
            return self.feed(body) + self.finish()
        return self._scrubbing().feed(body, is_last=True)

    def at_once(self, body: bytes) -> tuple[Headers, bytes]:
        """Head and body of an answer that came at once: one look for both. Raises as `finish`."""
        if self._undoing is None:
            parts = [part for field in self._fields for part in field]
            parts.append(body)
            if self._scrub.passes(_APART.join(parts)):
                return self._fields, body
        return self.headers, self.whole(body)

    def finish(self) -> bytes:
        """The rest of the body. Raises PeerError `answer_encoded` if it was cut short."""
        if self._undoing is not None:
            self._undoing.finish()
        return self._scrubbing().finish()

    def _scrubbing(self) -> Scrubber:
        """For the pieces of its body, in order."""
        if self._scrubber is None:
            self._scrubber = Scrubber(self._scrub)
            self._scrubber.redactions = self.redactions
        return self._scrubber

    def fields(self, fields: Headers) -> Headers:
        """Headers or trailers."""
        if not self._scrub.finds(_APART.join([_APART.join(each) for each in fields])):
            return fields
        return [(self.text(name), self.text(value)) for name, value in fields]

    def text(self, text: bytes) -> bytes:
        """A text by itself, such as a whole message of a WebSocket."""
        if self._scrub.is_idle:
            return text
        plain, found = self._scrub.whole(text)
        for name, count in found.items():
            self.redactions[name] = self.redactions.get(name, 0) + count
        return plain

    def messages(self) -> MessageScrubber:
        """For messages that follow one another; it counts into `redactions`."""
        scrubber = MessageScrubber(self._scrub)
        scrubber.redactions = self.redactions
        return scrubber
