"""The little of DNS that a stub needs which answers by itself: one question in, one answer out.

Source: RFC 1035 sections 4.1 and 4.2.2, RFC 6891 section 7 (options are ignored), RFC 8482.
"""

import struct
from enum import IntEnum
from typing import Final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.domain.verdict import Code

MESSAGE_BYTES: Final = 512
"""More no question needs; what is longer is no question (RFC 1035 section 4.2.1)."""

A, AAAA = 1, 28
_HEADER: Final = struct.Struct("!6H")
_TAIL: Final = struct.Struct("!2H")
_ANSWER: Final = struct.Struct("!3HIH")
_INTERNET: Final = 1
_IS_ANSWER, _OPCODE, _WANTS_RECURSION = 0x8000, 0x7800, 0x0100
_ANSWERED: Final = 0x8480
"""An answer, with authority, and recursion there (RFC 1035 section 4.1.1)."""
_NAME_POINTER: Final = 0xC00C
"""The name of the question, which stands right after the header."""
_LABEL_MOST, _NAME_MOST = 63, 255


class Rcode(IntEnum):
    """What an answer says of itself (RFC 1035 section 4.1.1)."""

    OK = 0
    FORMAT_ERROR = 1
    NO_SUCH_NAME = 3
    NOT_IMPLEMENTED = 4
    REFUSED = 5


class DnsQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked. `name` is as it came, without its last dot; nothing of it was judged yet."""

    id: int
    wants_recursion: bool
    name: bytes
    type: int
    section: bytes
    """The question as it came, which an answer repeats."""


def read_question(message: bytes) -> DnsQuestion:
    """Read a question. Raises PeerError `request_malformed` for what is not exactly one."""
    if not _HEADER.size < len(message) <= MESSAGE_BYTES:
        raise _malformed("its size is not that of a question")
    identity, flags, questions, answers, authorities, _ = _HEADER.unpack_from(message)
    if flags & (_IS_ANSWER | _OPCODE) or (questions, answers, authorities) != (1, 0, 0):
        raise _malformed("it is not one plain question")
    labels: list[bytes] = []
    at = _HEADER.size
    while True:
        length = message[at] if at < len(message) else -1
        if length == 0:
            break
        if not 0 < length <= _LABEL_MOST or at + 1 + length >= len(message):
            raise _malformed("its name is cut or compressed")
        label = message[at + 1 : at + 1 + length]
        if b"." in label:
            raise _malformed("a part of its name holds a dot")
        labels.append(label)
        at += 1 + length
    end = at + 1 + _TAIL.size
    if at + 1 - _HEADER.size > _NAME_MOST or end > len(message):
        raise _malformed("its name is too long or its type is missing")
    kind, class_ = _TAIL.unpack_from(message, at + 1)
    if class_ != _INTERNET:
        raise _malformed("its class is not that of the internet")
    return DnsQuestion(
        id=identity,
        wants_recursion=bool(flags & _WANTS_RECURSION),
        name=b".".join(labels),
        type=kind,
        section=message[_HEADER.size : end],
    )


def write_answer(
    question: DnsQuestion, rcode: Rcode, address: bytes = b"", *, keep_s: int = 0
) -> bytes:
    """Write an answer: with the address (4 or 16 bytes) if there is one, else with none."""
    flags = _ANSWERED | (_WANTS_RECURSION if question.wants_recursion else 0) | rcode
    head = _HEADER.pack(question.id, flags, 1, bool(address), 0, 0)
    if not address:
        return head + question.section
    record = _ANSWER.pack(_NAME_POINTER, question.type, _INTERNET, keep_s, len(address))
    return head + question.section + record + address


def write_fault(message: bytes, rcode: Rcode) -> bytes:
    """Answer what could not be read; empty where it may itself be an answer, which gets none."""
    if len(message) < _HEADER.size:
        return b""
    identity, flags = struct.unpack_from("!2H", message)
    if flags & _IS_ANSWER:
        return b""
    return _HEADER.pack(identity, _ANSWERED | (flags & _OPCODE) | rcode, 0, 0, 0, 0)


def _malformed(why: str) -> PeerError:
    return PeerError(Code.REQUEST_MALFORMED, f"the question cannot be read: {why}")
