import asyncio

import pytest

from ringfence.domain.error import PeerError, RingfenceError
from ringfence.gateways.tool.channel import Failure, How, Sending, Taker
from ringfence.gateways.tool.handshake import Opening, greet, not_opened
from ringfence.protocols.mcp.error import INVALID_PARAMS, McpError
from ringfence.protocols.mcp.message import Envelope


class Server:
    """A channel before its greeting, and its request; answers with a reply or a failure."""

    def __init__(self, failure: Failure | None = None) -> None:
        self.failure = failure
        self.sent: list[Sending] = []

    def number(self) -> bytes:
        return b"7"

    def unsent(self, sending: Sending, taker: Taker) -> "Server":
        self.sending, self.taker = sending, taker
        return self

    def send(self) -> None:
        self.sent.append(self.sending)
        if self.failure is None:
            self.taker.replied(b"raw", Envelope(), How(200, is_stream=False))
        else:
            self.taker.lost(self.failure)

    def cancel(self, reason: str) -> None:
        raise AssertionError(reason)


class Gate:
    """Counts how often it is opened; stays shut until told, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.begun = 0
        self.told = asyncio.Event()

    async def begin(self) -> None:
        self.begun += 1
        await self.told.wait()
        if self.error is not None:
            raise self.error


def test_a_channel_is_opened_once_for_all_who_wait() -> None:
    async def run() -> None:
        gate = Gate()
        opening = Opening(gate.begin)
        waiting = [asyncio.create_task(opening.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        gate.told.set()
        await asyncio.gather(*waiting)
        assert gate.begun == 1

    asyncio.run(run())


def test_who_leaves_does_not_end_the_opening_for_the_others() -> None:
    async def run() -> None:
        gate = Gate()
        opening = Opening(gate.begin)
        first, second = (asyncio.create_task(opening.wait()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait({first})
        gate.told.set()
        await second
        assert (gate.begun, first.cancelled()) == (1, True)

    asyncio.run(run())


def test_an_opening_that_failed_is_tried_again_by_whoever_is_next() -> None:
    async def run() -> None:
        gate = Gate(PeerError("provider_malformed", "no"))
        gate.told.set()
        opening = Opening(gate.begin)
        both = await asyncio.gather(opening.wait(), opening.wait(), return_exceptions=True)
        assert [type(each) for each in both] == [PeerError, PeerError]
        gate.error = None
        await opening.wait()
        assert gate.begun == 2

    asyncio.run(run())


def test_an_opening_that_nobody_needs_any_more_ends() -> None:
    async def run() -> None:
        opening = Opening(Gate().begin)
        opening.cancel()  # nothing is begun yet
        waiting = asyncio.create_task(opening.wait())
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(run())


def test_a_greeting_carries_the_introduction_and_waits_for_no_other() -> None:
    server = Server()
    reply = asyncio.run(greet(server, b'{"a":1}', 5))
    (sent,) = server.sent
    assert (reply.raw, sent.method, sent.number) == (b"raw", "initialize", b"7")
    assert b'{"a":1}' in sent.body


def test_a_greeting_without_an_answer_is_raised_as_what_happened() -> None:
    error = PeerError("provider_malformed", "no")
    with pytest.raises(PeerError) as raised:
        asyncio.run(greet(Server(Failure(error=error)), b"{}", 5))
    assert raised.value is error


@pytest.mark.parametrize(
    "error",
    [PeerError("provider_malformed", "as it is"), McpError(INVALID_PARAMS, "another version")],
)
def test_what_cannot_be_opened_was_not_sent(error: Exception) -> None:
    async def fails() -> None:
        raise error

    failure = asyncio.run(not_opened(fails()))
    assert failure is not None
    assert failure.was_sent is False
    if isinstance(error, RingfenceError):
        assert failure.error is error
    else:
        assert failure.error.code == "provider_malformed"
        assert failure.error.message == "the tool server refused the session: another version"


def test_what_is_opened_has_not_failed() -> None:
    async def opens() -> None:
        await asyncio.sleep(0)

    assert asyncio.run(not_opened(opens())) is None
