"""Names for a sandbox: every question is answered here and put on the record; none goes on.

A name that is in scope gets an address of ours, by which its connections are caught; any other does
not exist. So nothing can be said to a name server outside, by whatever name.
"""

import asyncio
from typing import Final, cast, final

from ringfence.analysis.name_signal import NameSignal, signal_of
from ringfence.domain.error import PeerError
from ringfence.domain.observation import Seen
from ringfence.enforcement.observation import Sighting
from ringfence.gateways.egress.place import Place
from ringfence.protocols.dns import (
    AAAA,
    A,
    DnsQuestion,
    Rcode,
    read_question,
    write_answer,
    write_fault,
)
from ringfence.protocols.host_name import read_host
from ringfence.transport.datagram import Reply
from ringfence.transport.deadline import NEVER

_KEPT_S: Final = 5
"""Short, for a reload may take a name out of scope."""
_TYPES: Final = {
    A: "A",
    AAAA: "AAAA",
    5: "CNAME",
    12: "PTR",
    15: "MX",
    16: "TXT",
    33: "SRV",
    65: "HTTPS",
}
_SUSPICIOUS_MOST: Final = 10
"""After so many names that look like data, it is a finding; once for each sandbox."""
_IDLE_S: Final = 10.0
_PREFIX: Final = 2
_MESSAGE_MOST: Final = 4096


@final
class NameServer:
    """Answers the questions of one sandbox."""

    def __init__(self, place: Place) -> None:
        """Nothing was asked yet."""
        self._place = place
        self._suspicious = 0

    def take(self, message: bytes, port: int, reply: Reply) -> None:
        """A question that came as a datagram; one that is not the sandbox's is not answered."""
        admits = self._place.service.admits
        if admits is not None and not admits(port):
            return
        answer = self.answer(message)
        if answer:
            reply(answer)

    def answer(self, message: bytes) -> bytes:
        """The answer to a question; empty if it deserves none."""
        try:
            question = read_question(message)
        except PeerError as error:
            self._saw("?", "?", "deny", error.message, NameSignal(0, 0.0))
            return write_fault(message, Rcode.FORMAT_ERROR)
        shown = question.name.decode("latin-1").lower()
        kind = _TYPES.get(question.type, str(question.type))
        signal = signal_of(shown)
        try:
            name = read_host(question.name)
        except PeerError:
            return self._unknown(question, shown, kind, signal)
        place = self._place
        if not place.means.path.may_resolve(place.box.caller, place.box.live, name):
            return self._unknown(question, shown, kind, signal)
        address = place.promises.address_of(name.host) if question.type == A else b""
        self._saw(shown, kind, "allow", ".".join(map(str, address)) or "none", signal)
        return write_answer(question, Rcode.OK, address, keep_s=_KEPT_S)

    def _unknown(self, question: DnsQuestion, shown: str, kind: str, signal: NameSignal) -> bytes:
        self._saw(shown, kind, "deny", "no such name", signal)
        if signal.is_suspicious:
            self._suspicious += 1
            if self._suspicious == _SUSPICIOUS_MOST:
                self._find(shown)
        return write_answer(question, Rcode.NO_SUCH_NAME)

    def _find(self, shown: str) -> None:
        place = self._place
        detail = {"sandbox": place.box.id, "last": shown[:253], "names": str(_SUSPICIOUS_MOST)}
        place.means.path.findings.found(place.box.live, "dns_exfiltration", detail)

    def _saw(self, name: str, kind: str, verdict: str, answer: str, signal: NameSignal) -> None:
        detail = {"type": kind, "verdict": verdict, "answer": answer}
        if signal.is_suspicious:
            detail |= {"labels": str(signal.longest), "entropy": str(signal.entropy)}
        place = self._place
        sighting = Sighting(what=Seen.DNS_QUERY, subject=name, detail=detail)
        place.means.observations.see(place.box.caller, place.box.sandbox, sighting)


@final
class NameConnection(asyncio.Protocol):
    """The same over TCP: each message has its length before it (RFC 1035 section 4.2.2)."""

    def __init__(self, place: Place, names: NameServer) -> None:
        """Not connected yet."""
        self._place = place
        self._names = names
        self._data = b""
        self._is_held = False
        self._transport: asyncio.Transport
        self.deadline = NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it, if there are not too many."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        service = self._place.service
        if not service.takes(transport):
            self._transport.abort()
            return
        service.connections.add(self)
        service.sweeper.add(self)
        self.deadline = service.loop.time() + _IDLE_S

    def data_received(self, data: bytes) -> None:
        """Answer every whole question."""
        self._data += data
        self.deadline = self._place.service.loop.time() + _IDLE_S
        self._answer()

    def pause_writing(self) -> None:
        """The client takes no answers: it gets no more of them, and is heard no further."""
        self._is_held = True
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._is_held = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._answer()

    def _answer(self) -> None:
        data, at = self._data, 0
        while len(data) >= at + _PREFIX and not self._is_held:
            start = at + _PREFIX
            end = start + int.from_bytes(data[at:start])
            if end - at > _MESSAGE_MOST:
                self.cut()
                return
            if len(data) < end:
                break
            answer = self._names.answer(data[start:end])
            self._transport.write(len(answer).to_bytes(2) + answer)
            at = end
        self._data = data[at:]

    def connection_lost(self, _error: Exception | None) -> None:
        """The client has left."""
        self._place.service.left(self)

    def expire(self) -> None:
        """Nothing was asked for too long, or no answer taken."""
        if self._is_held:
            self._transport.abort()
        else:
            self._transport.close()

    def drain(self) -> None:
        """Nothing is ever going on."""
        self._transport.close()

    def cut(self) -> None:
        """Close at once."""
        self._transport.abort()
