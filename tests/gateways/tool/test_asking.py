import asyncio

import pytest

from ringfence.domain.error import PeerError
from ringfence.gateways.tool.asking import FailedError, ask
from ringfence.gateways.tool.channel import Failure, How, Pending, Sending, Taker
from ringfence.protocols.mcp.message import Envelope

SENDING = Sending(body=b"{}", number=b"1", method="tools/list")


class Server:
    """Answers as told; as a channel and as its pending request."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.cancelled: list[str] = []

    def call(self, sending: Sending, taker: Taker) -> Pending:
        del sending
        if self.how == "answers":
            taker.said(b"told", Envelope())
            taker.replied(b"raw", Envelope(), How(200, is_stream=False))
        elif self.how == "fails":
            taker.lost(Failure(error=PeerError("provider_malformed", "no")))
        return self

    def cancel(self, reason: str) -> None:
        self.cancelled.append(reason)


def test_an_answer_is_waited_for() -> None:
    heard: list[bytes] = []
    reply = asyncio.run(ask(Server("answers"), SENDING, 5, lambda raw, _: heard.append(raw)))
    assert (reply.raw, reply.status, heard) == (b"raw", 200, [b"told"])


def test_a_failure_is_raised() -> None:
    with pytest.raises(FailedError, match="no"):
        asyncio.run(ask(Server("fails"), SENDING, 5))


def test_a_server_that_takes_too_long_hears_that_nobody_waits() -> None:
    server = Server("waits")
    with pytest.raises(FailedError, match="did not answer"):
        asyncio.run(ask(server, SENDING, 0.01))
    assert server.cancelled
