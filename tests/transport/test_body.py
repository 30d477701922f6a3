import asyncio

from ringfence.transport.body import HIGH_WATER_BYTES, Body

LARGE = b"x" * (HIGH_WATER_BYTES + 1)


class Sender:
    """A `body.Source` that only knows whether it is held."""

    def __init__(self) -> None:
        self.is_held = False

    def hold_body(self) -> None:
        self.is_held = True

    def release_body(self) -> None:
        self.is_held = False

    def want_body(self) -> None:
        """Nobody waits for `100 Continue`."""


def test_a_sender_is_held_while_nobody_reads() -> None:
    sender = Sender()
    Body(sender, None).arrive(LARGE)
    assert sender.is_held


def test_a_body_that_came_whole_before_it_was_read_holds_nobody() -> None:
    sender = Sender()
    body = Body(sender, len(LARGE))
    body.arrive(LARGE)
    body.finish()
    assert not sender.is_held
    assert asyncio.run(body.read(len(LARGE))) == LARGE
