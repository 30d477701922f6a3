"""The hello of a TLS client: its server's name, from whatever pieces it comes in."""

import ssl
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.protocols.tls_hello import HelloReader, read_hello


def hello_of(name: str | None, protocols: list[str] | None = None) -> bytes:
    """What OpenSSL sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


HELLO = hello_of("api.example", ["h2", "http/1.1"])


def in_records(data: bytes, size: int) -> bytes:
    """The same message cut into records of that size."""
    message = data[5:]
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2) + part for part in parts)


def with_extensions(*extensions: tuple[int, bytes]) -> bytes:
    body = b"".join(k.to_bytes(2) + len(v).to_bytes(2) + v for k, v in extensions)
    inner = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"
    inner += len(body).to_bytes(2) + body
    message = b"\x01" + len(inner).to_bytes(3) + inner
    return b"\x16\x03\x01" + len(message).to_bytes(2) + message


def named(*names: bytes, kind: int = 0) -> bytes:
    listed = b"".join(bytes([kind]) + len(name).to_bytes(2) + name for name in names)
    return len(listed).to_bytes(2) + listed


def test_the_name_and_what_is_to_be_spoken_are_read() -> None:
    hello = read_hello(HELLO)
    assert hello is not None
    assert hello.server_name == b"api.example"
    assert hello.protocols == (b"h2", b"http/1.1")
    assert not hello.is_name_hidden


def test_a_client_may_name_nobody() -> None:
    hello = read_hello(hello_of(None))
    assert hello is not None
    assert hello.server_name is None


@given(st.integers(min_value=1, max_value=600))
def test_a_hello_may_be_cut_into_records(size: int) -> None:
    hello = read_hello(in_records(HELLO, size))
    assert hello is not None
    assert hello.server_name == b"api.example"


@given(st.integers(min_value=0, max_value=len(HELLO) - 1))
def test_a_part_of_a_hello_is_waited_for(size: int) -> None:
    assert read_hello(HELLO[:size]) is None


def test_what_follows_a_hello_is_not_looked_at() -> None:
    assert read_hello(HELLO + b"\x17\x03\x03\x00\x05hello") is not None


def test_an_encrypted_hello_is_told() -> None:
    hello = read_hello(with_extensions((0, named(b"front.example")), (0xFE0D, b"\0" * 8)))
    assert hello is not None
    assert hello.is_name_hidden


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x17\x03\x03\x00\x01a",
        b"\x16\x02\x00\x00\x01\x01",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x41\x00",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
        with_extensions((0, named(b"a.example", b"b.example"))),
        with_extensions((0, named(b"a.example")), (0, named(b"b.example"))),
        with_extensions((0, named(b"a.example", kind=1))),
        with_extensions((0, named(b""))),
        with_extensions((0, b"\x00")),
    ],
)
def test_what_does_not_name_exactly_one_server_is_refused(data: bytes) -> None:
    with pytest.raises(PeerError):
        read_hello(data)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    for each in (data, HELLO[:5] + data, HELLO[:60] + data):
        try:
            read_hello(each)
        except PeerError:
            continue


class Counted(bytes):
    """Counts how often any of its bytes is read."""

    read = 0

    def __getitem__(self, at: Any) -> Any:  # noqa: ANN401 (as `bytes` has it)
        part = super().__getitem__(at)
        type(self).read += len(part) if isinstance(part, bytes) else 1
        return part


def test_no_byte_is_read_again_when_the_next_comes() -> None:
    """Else a client that drips a long hello would take more and more time for each of its bytes."""
    data = in_records(with_extensions((0, named(b"api.example")), (21, bytes(2_000))), 1)
    reader = HelloReader()
    Counted.read = 0
    found = [reader.read(Counted(data[: at + 1])) for at in range(len(data))]
    assert found[-1] == read_hello(data) != None  # noqa: E711 (both)
    assert found[:-1] == [None] * (len(data) - 1)
    assert Counted.read < 4 * len(data)
