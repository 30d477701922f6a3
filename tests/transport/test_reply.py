import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from ringfence.transport.reply import HandedOver, Reply


@dataclass
class Carrier:
    """A connection that keeps what it is given."""

    keeps: bool = True
    is_lost: bool = False
    is_write_paused: bool = False
    written: bytearray = field(default_factory=bytearray)
    ends: list[bool] = field(default_factory=list)
    cuts: int = 0

    def write(self, data: bytes) -> None:
        self.written += data

    def may_keep(self) -> bool:
        return self.keeps

    def reply_ended(self, *, keep: bool) -> None:
        self.ends.append(keep)

    def cut(self) -> None:
        self.cuts += 1

    def hand_over(self, opening: bytes) -> HandedOver:
        raise NotImplementedError


def reply_on(carrier: Carrier, *, is_head: bool = False, version: str = "1.1") -> Reply:
    return Reply(carrier, is_head=is_head, version=version)


def test_a_chunked_answer_frames_each_write_and_ends_with_an_empty_chunk() -> None:
    carrier = Carrier()
    reply = reply_on(carrier)
    reply.start(200, [])
    reply.write(b"hello")
    reply.write(b"")
    reply.write(b"x" * 17)
    reply.end()
    assert carrier.written.endswith(b"\r\n\r\n5\r\nhello\r\n11\r\n" + b"x" * 17 + b"\r\n0\r\n\r\n")
    assert carrier.ends == [True]


def test_an_answer_of_known_length_is_not_chunked() -> None:
    carrier = Carrier()
    reply = reply_on(carrier)
    reply.start(200, [], content_length=5)
    reply.write(b"he")
    reply.write(b"llo")
    reply.end()
    assert b"content-length: 5\r\n" in carrier.written
    assert b"transfer-encoding" not in carrier.written
    assert carrier.written.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize("written", [b"hell", b"hello!"])
def test_a_body_of_another_length_cuts_the_connection(written: bytes) -> None:
    carrier = Carrier()
    reply = reply_on(carrier)
    reply.start(200, [], content_length=5)
    with pytest.raises(ValueError, match="stated length"):
        finish(reply, written)
    assert carrier.cuts == 1
    assert not carrier.written.endswith(b"!")


def finish(reply: Reply, body: bytes) -> None:
    reply.write(body)
    reply.end()


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("is_whole", [True, False])
def test_some_answers_never_have_a_body(status: int, *, is_whole: bool) -> None:
    carrier = Carrier()
    reply = reply_on(carrier)
    if is_whole:
        reply.send(status, [], b"abc")
    else:
        reply.start(status, [])
        finish(reply, b"abc")
    assert b"abc" not in carrier.written
    assert b"transfer-encoding" not in carrier.written
    assert carrier.written.endswith(b"\r\n\r\n")
    assert carrier.ends == [True]


def test_an_answer_to_head_states_its_length_without_a_body() -> None:
    carrier = Carrier()
    reply = reply_on(carrier, is_head=True)
    reply.start(200, [], content_length=5)
    reply.end()
    assert carrier.written.endswith(b"content-length: 5\r\n\r\n")
    assert carrier.cuts == 0


def test_an_answer_is_begun_once_and_ended_once() -> None:
    reply = reply_on(Carrier())
    with pytest.raises(RuntimeError):
        reply.write(b"too early")
    reply.send(200, [], b"")
    again: list[Callable[[], None]] = [
        lambda: reply.send(200, [], b""),
        lambda: reply.start(200, []),
        lambda: reply.write(b"x"),
        reply.end,
    ]
    for each in again:
        with pytest.raises(RuntimeError):
            each()


def test_a_bad_header_leaves_the_answer_unstarted() -> None:
    carrier = Carrier()
    reply = reply_on(carrier)
    with pytest.raises(ValueError, match="line end"):
        reply.send(200, [(b"a", b"b\r\nc: d")], b"")
    assert not reply.is_started
    reply.send(500, [], b"")
    assert carrier.written.startswith(b"HTTP/1.1 500 ")


def test_aborting_cuts_once_and_never_after_the_end() -> None:
    carrier = Carrier()
    reply = reply_on(carrier)
    reply.start(200, [])
    reply.abort()
    reply.abort()
    assert carrier.cuts == 1
    ended = reply_on(carrier)
    ended.send(200, [], b"")
    ended.abort()
    assert carrier.cuts == 1


def test_a_client_that_left_is_told_at_once_and_only_before_the_end() -> None:
    told: list[str] = []
    gone = reply_on(Carrier(is_lost=True))
    gone.on_disconnect(lambda: told.append("gone"))
    assert told == ["gone"]
    ended = reply_on(Carrier())
    ended.on_disconnect(lambda: told.append("ended"))
    ended.send(200, [], b"")
    ended.lost()
    assert told == ["gone"]


def test_draining_waits_while_the_client_is_slow_and_fails_when_it_left() -> None:
    async def scenario() -> None:
        carrier = Carrier(is_write_paused=True)
        reply = reply_on(carrier)
        draining = asyncio.ensure_future(reply.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        carrier.is_write_paused = False
        reply.resumed()
        await draining
        await reply.drain()
        carrier.is_lost = True
        with pytest.raises(ConnectionError):
            await reply.drain()

    asyncio.run(scenario())


def test_pausing_is_told_to_whoever_asks_late() -> None:
    told: list[str] = []
    reply = reply_on(Carrier(is_write_paused=True))
    reply.on_pause(lambda: told.append("pause"), lambda: told.append("resume"))
    reply.resumed()
    assert told == ["pause", "resume"]
