"""Bodies that are sent while they come."""

import asyncio

import pytest

from ringfence.transport.upload import Upload


class Line:
    def __init__(self) -> None:
        self.sent = b""
        self.is_given_up = False

    def write_body(self, data: bytes) -> None:
        self.sent += data

    def give_up(self) -> None:
        self.is_given_up = True


def test_a_length_that_was_stated_is_kept_to() -> None:
    line, upload = Line(), Upload(5)
    upload.write(b"he")
    upload.begin(line)
    upload.write(b"llo")
    upload.end()
    assert line.sent == b"hello"
    with pytest.raises(ValueError, match="longer"):
        upload.write(b"!")


def test_without_a_length_it_goes_in_chunks() -> None:
    line, upload = Line(), Upload(None)
    upload.begin(line)
    upload.write(b"hello")
    upload.write(b"")
    upload.end()
    assert line.sent == b"5\r\nhello\r\n0\r\n\r\n"


def test_a_body_that_broke_off_is_cut_and_not_ended() -> None:
    line, upload = Line(), Upload(5)
    upload.begin(line)
    upload.write(b"he")
    with pytest.raises(ValueError, match="shorter"):
        upload.end()
    assert line.is_given_up


async def waiting() -> None:
    upload = Upload(None)
    waiter = asyncio.create_task(upload.drain())
    await asyncio.sleep(0)
    assert not waiter.done()
    upload.begin(Line())
    await waiter
    upload.paused()
    waiter = asyncio.create_task(upload.drain())
    await asyncio.sleep(0)
    assert not waiter.done()
    upload.resumed()
    await waiter
    upload.paused()
    upload.stop()
    await upload.drain()
    upload.write(b"nobody takes it")


def test_whoever_writes_waits_for_the_upstream_and_not_for_one_that_is_gone() -> None:
    asyncio.run(waiting())
