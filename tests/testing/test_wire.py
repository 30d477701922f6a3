import asyncio

from ringfence.testing.wire import ManualTransport


class Notes(asyncio.Protocol):
    """Writes down what happens to it."""

    def __init__(self) -> None:
        self.met: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.met.append(transport.get_extra_info("peername")[0])

    def data_received(self, data: bytes) -> None:
        self.met.append(data.decode())

    def connection_lost(self, exc: Exception | None) -> None:
        self.met.append(f"lost {exc}")


def test_a_protocol_meets_its_events_in_order_and_nothing_after_the_end() -> None:
    async def scenario() -> None:
        notes = Notes()
        transport = ManualTransport(notes)
        transport.feed(b"a")
        transport.write(b"out")
        transport.feed_eof()
        transport.feed(b"b")
        transport.write(b"too late")
        assert transport.is_closing()
        await asyncio.sleep(0)
        transport.lose()
        assert notes.met == ["127.0.0.1", "a", "lost None"]
        assert transport.written == b"out"

    asyncio.run(scenario())


def test_flow_control_is_written_down() -> None:
    async def scenario() -> None:
        transport = ManualTransport(Notes())
        states = [transport.is_reading_now]
        transport.pause_reading()
        states.append(transport.is_reading_now)
        transport.resume_reading()
        states.append(transport.is_reading_now)
        assert states == [True, False, True]
        transport.write_eof()
        assert transport.is_eof_written
        transport.lose(ConnectionResetError())

    asyncio.run(scenario())
