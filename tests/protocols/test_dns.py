"""DNS: one question in, one answer out, and a fault for everything else."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.protocols.dns import (
    AAAA,
    A,
    DnsQuestion,
    Rcode,
    read_question,
    write_answer,
    write_fault,
)


def asked(name: bytes, kind: int = A, *, id_: int = 7, flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes([len(part)]) + part for part in name.split(b".") if part)
    return struct.pack("!6H", id_, flags, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)


def test_a_question_is_read_and_answered() -> None:
    message = asked(b"api.example")
    question = read_question(message)
    assert (question.id, question.name, question.type) == (7, b"api.example", A)
    answer = write_answer(question, Rcode.OK, bytes([198, 18, 0, 1]), keep_s=5)
    identity, flags, *counts = struct.unpack_from("!6H", answer)
    assert identity == 7
    assert flags & 0x8000
    assert flags & 0x000F == Rcode.OK
    assert counts == [1, 1, 0, 0]
    assert answer[12 : len(message)] == message[12:]
    name, kind, class_, keep_s, length = struct.unpack_from("!3HIH", answer, len(message))
    assert (name, kind, class_, keep_s, length) == (0xC00C, A, 1, 5, 4)
    assert answer.endswith(bytes([198, 18, 0, 1]))


def test_a_name_without_an_address_of_that_kind_has_an_empty_answer() -> None:
    question = read_question(asked(b"api.example", AAAA))
    answer = write_answer(question, Rcode.OK)
    assert struct.unpack_from("!6H", answer)[2:] == (1, 0, 0, 0)


def test_options_of_a_client_are_ignored() -> None:
    option = b"\0" + struct.pack("!HHIH", 41, 4096, 0, 0)
    message = bytearray(asked(b"api.example") + option)
    message[10:12] = struct.pack("!H", 1)
    assert read_question(bytes(message)).name == b"api.example"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        asked(b"a")[:12],
        asked(b"a")[:-1],
        asked(b"a", flags=0x8100),
        asked(b"a", flags=0x2900),
        asked(b"a")[:4] + struct.pack("!H", 2) + asked(b"a")[6:],
        asked(b"a")[:12] + b"\xc0\x0c" + struct.pack("!2H", A, 1),
        asked(b"a")[:12] + b"\x03a.b\0" + struct.pack("!2H", A, 1),
        asked(b"a")[:-2] + struct.pack("!H", 3),
        asked(b".".join([b"a" * 63] * 5)),
        asked(b"a") + b"x" * 512,
    ],
)
def test_what_is_not_one_plain_question_is_refused(message: bytes) -> None:
    with pytest.raises(PeerError):
        read_question(message)


@given(st.binary(max_size=80))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    try:
        question = read_question(data)
    except PeerError:
        fault = write_fault(data, Rcode.FORMAT_ERROR)
        assert fault == b"" or fault[:2] == data[:2]
        return
    assert isinstance(question, DnsQuestion)
    assert write_answer(question, Rcode.REFUSED)[12:] == question.section


def test_an_answer_is_never_answered() -> None:
    assert write_fault(asked(b"a", flags=0x8000), Rcode.FORMAT_ERROR) == b""
    assert write_fault(b"short", Rcode.FORMAT_ERROR) == b""
