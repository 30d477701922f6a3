import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateways.world import Upstream

from ringfence.domain.error import PeerError, UnsentError
from ringfence.gateways.tool.channel import Failure, How
from ringfence.gateways.tool.reply import Ended, ReplyReader, failure_of, refused_with, same_id
from ringfence.protocols.mcp.message import Envelope

STREAM = b"text/event-stream; charset=utf-8"
JSON = b"application/json"
SAID = b'{"jsonrpc":"2.0","method":"notifications/progress"}'
ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{}}'


class Noting:
    """A `channel.Taker` that notes."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def said(self, raw: bytes, _envelope: Envelope) -> None:
        self.told.append(raw)

    def marked(self, event_id: bytes, retry_ms: int | None, *, is_alone: bool) -> None:
        self.told.append((event_id, retry_ms, is_alone))

    def paused(self) -> None:
        self.told.append("paused")

    def replied(self, raw: bytes, _envelope: Envelope, how: How) -> None:
        self.told.append((raw, how))

    def lost(self, failure: Failure) -> None:
        self.told.append(failure)


def read(pieces: list[bytes], kind: bytes = STREAM, status: int = 200) -> Noting:
    taker = Noting()
    upstream = Upstream(status=status, kind=kind)
    reader = ReplyReader(upstream, b"1", taker, taker.told.append)
    for piece in pieces:
        reader.data(piece)
    reader.end()
    return taker


@given(st.integers(1, 30))
def test_any_split_of_a_stream_gives_the_same_messages(size: int) -> None:
    whole = b"event: message\ndata: " + SAID + b"\n\n: x\n\ndata: " + ANSWER + b"\n\n"
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    told = read(pieces).told
    assert told[:3] == [SAID, None, (ANSWER, How(200, is_stream=True))]


def test_a_document_is_the_answer() -> None:
    assert read([ANSWER[:9], ANSWER[9:]], JSON).told == [None, (ANSWER, How(200, is_stream=False))]


@pytest.mark.parametrize("pieces", [[], [b"{"], [b"[1]"]])
def test_a_document_that_is_none_is_the_servers_fault(pieces: list[bytes]) -> None:
    [error] = read(pieces, JSON).told
    assert isinstance(error, PeerError)


def test_a_stream_that_ends_early_can_be_resumed_if_it_said_where() -> None:
    *_, ended = read([b"id: 7\nretry: 50\ndata: \n\n"]).told
    assert isinstance(ended, Ended)
    assert (ended.event_id, ended.retry_ms) == (b"7", 50)
    [lost] = read([b": nothing\n\n"]).told
    assert isinstance(lost, PeerError)


def test_an_error_about_no_request_is_the_answer_where_the_status_says_so() -> None:
    raw = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600}}'
    assert read([raw], JSON, 400).told == [None, (raw, How(400, is_stream=False))]


def test_ids_are_the_same_however_they_are_written() -> None:
    assert same_id(b'"a"', b'"\\u0061"')
    assert not same_id(b'"1"', b"1")


def test_a_failure_says_whether_the_server_saw_anything() -> None:
    assert not failure_of(UnsentError("provider_unavailable", "x")).was_sent
    assert refused_with(Upstream(status=503, headers=((b"retry-after", b"9"),))).retry_after == "9"
    with pytest.raises(ZeroDivisionError):
        failure_of(ZeroDivisionError())
