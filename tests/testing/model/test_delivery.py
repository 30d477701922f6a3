import asyncio
from collections.abc import Callable

import pytest

from ringfence.domain.model import Dialect
from ringfence.testing.http import MemoryResponse
from ringfence.testing.model.delivery import FORMS, Delivery
from ringfence.testing.model.emission import Emission, split
from ringfence.testing.model.journal import Entry
from ringfence.testing.model.playbook import Chosen
from ringfence.testing.model.question import Conversation, Question
from ringfence.testing.model.script import Faults

SCRIPTED = [Dialect.CHAT, Dialect.RESPONSES, Dialect.MESSAGES, Dialect.GEMINI]
EMISSION = Emission(number=1, model="m", text=split("one two three four five"))


class Given:
    """One answer, given with these faults to a client in memory."""

    def __init__(self, dialect: Dialect, faults: Faults, *, stream: bool) -> None:
        self.response = MemoryResponse()
        self.entry = Entry(number=1, time_us=0, method="POST", path="/", query={}, headers={})
        self._delivery = Delivery(dialect, self.response, self.entry)
        self._chosen = Chosen(rule="r", emission=EMISSION, faults=faults)
        self._question = Question(
            dialect=dialect, model="m", conversation=Conversation(), stream=stream
        )

    def run(self, meanwhile: Callable[[], None] = lambda: None) -> "Given":
        async def run() -> None:
            task = asyncio.create_task(self._delivery.give(self._chosen, self._question))
            await asyncio.sleep(0.01)
            meanwhile()
            await asyncio.wait_for(task, 60)

        asyncio.run(run())
        return self


def give(dialect: Dialect, *, stream: bool = True, **faults: object) -> Given:
    return Given(dialect, Faults(**faults), stream=stream).run()  # type: ignore[arg-type]


def events(dialect: Dialect) -> list[bytes]:
    return give(dialect).response.writes


@pytest.mark.parametrize("dialect", SCRIPTED)
def test_a_stream_is_given_event_by_event(dialect: Dialect) -> None:
    given = give(dialect)
    assert given.response.headers[b"content-type"].startswith(b"text/event-stream")
    assert given.response.is_ended
    assert given.entry.chunks == len(given.response.writes)
    assert (given.entry.status, given.entry.ending, given.entry.rule) == (200, "whole", "r")


@pytest.mark.parametrize("dialect", SCRIPTED)
def test_a_document_is_given_whole(dialect: Dialect) -> None:
    given = give(dialect, stream=False)
    assert given.response.headers[b"content-type"] == b"application/json"
    assert b"one two three four five" in given.response.body
    assert (given.entry.status, given.entry.ending, given.entry.chunks) == (200, "whole", 0)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", SCRIPTED)
class TestEveryDialectStreamedOrNot:
    def test_a_status_has_the_dialects_error_document(self, dialect: Dialect, stream: bool) -> None:  # noqa: FBT001 (a parametrised case)
        given = give(dialect, stream=stream, status=429, headers={"Retry-After": "2"})
        assert given.response.status == 429
        assert given.response.headers[b"retry-after"] == b"2"
        assert b"an error of the script" in given.response.body
        assert (given.entry.status, given.entry.usage) == (429, None)

    def test_a_status_may_have_a_body_of_its_own(self, dialect: Dialect, stream: bool) -> None:  # noqa: FBT001 (a parametrised case)
        assert give(dialect, stream=stream, status=500, body="<html>").response.body == b"<html>"
        plain = give(dialect, stream=stream, status=500, body={"a": 1})
        assert plain.response.body == b'{"a":1}'

    def test_a_connection_can_close_without_an_answer(self, dialect: Dialect, stream: bool) -> None:  # noqa: FBT001 (a parametrised case)
        given = give(dialect, stream=stream, close=True)
        assert given.response.is_aborted
        assert not given.response.is_started
        assert given.entry.ending == "cut"

    def test_an_answer_can_fail_to_come_until_the_client_leaves(
        self,
        dialect: Dialect,
        stream: bool,  # noqa: FBT001 (a parametrised case)
    ) -> None:
        given = Given(dialect, Faults(hang=True), stream=stream)
        given.run(given.response.leave)
        assert not given.response.is_started
        assert given.entry.ending == "client_gone"

    def test_an_answer_can_come_late(self, dialect: Dialect, stream: bool) -> None:  # noqa: FBT001 (a parametrised case)
        given = Given(dialect, Faults(delay_ms=30), stream=stream)
        seen: list[bool] = []
        given.run(lambda: seen.append(given.response.is_started))
        assert seen == [False]
        assert given.response.is_ended


@pytest.mark.parametrize("dialect", SCRIPTED)
class TestEveryDialectStreamed:
    def test_a_stream_can_be_cut_after_some_events(self, dialect: Dialect) -> None:
        given = give(dialect, cut_after_chunks=3)
        assert given.response.writes == events(dialect)[:3]
        assert given.response.is_aborted
        assert not given.response.is_ended
        assert (given.entry.chunks, given.entry.ending) == (3, "cut")

    def test_a_cut_beyond_the_end_cuts_nothing(self, dialect: Dialect) -> None:
        assert give(dialect, cut_after_chunks=1000).response.is_ended

    def test_a_broken_event_can_stand_among_whole_ones(self, dialect: Dialect) -> None:
        writes = give(dialect, malformed_after_chunks=2).response.writes
        whole = events(dialect)
        assert (writes[:2], writes[3:]) == (whole[:2], whole[2:])
        assert writes[2] == b'data: {"broken": \n\n'

    def test_an_error_can_end_a_stream(self, dialect: Dialect) -> None:
        given = give(dialect, error_after_chunks=2)
        assert given.response.writes[:2] == events(dialect)[:2]
        assert given.response.writes[2:] == [FORMS[dialect].stream_error("an error of the script")]
        assert given.response.is_ended

    def test_an_error_in_a_stream_may_be_any_bytes(self, dialect: Dialect) -> None:
        given = give(dialect, error_after_chunks=1, stream_error="data: boom\n\n")
        assert given.response.writes[1:] == [b"data: boom\n\n"]

    def test_a_stream_can_stand_still_until_the_client_leaves(self, dialect: Dialect) -> None:
        given = Given(dialect, Faults(hang_after_chunks=2), stream=True)
        given.run(given.response.leave)
        assert given.response.writes == events(dialect)[:2]
        assert given.entry.ending == "client_gone"

    def test_a_stream_can_trickle_and_stops_when_the_client_leaves(self, dialect: Dialect) -> None:
        given = Given(dialect, Faults(trickle_ms=8), stream=True)
        given.run(given.response.leave)
        assert 0 < given.entry.chunks < len(events(dialect))
        assert given.entry.ending == "client_gone"


@pytest.mark.parametrize("dialect", SCRIPTED)
class TestEveryDialectWhole:
    def test_a_document_can_be_cut_in_half(self, dialect: Dialect) -> None:
        given = give(dialect, stream=False, cut_after_chunks=1)
        promised = int(given.response.headers[b"content-length"])
        assert len(given.response.body) == promised // 2
        assert given.response.is_aborted

    def test_a_document_can_be_broken(self, dialect: Dialect) -> None:
        whole = give(dialect, stream=False).response.body
        assert give(dialect, stream=False, malformed_after_chunks=1).response.body == whole[:-1]

    def test_an_error_after_some_events_is_a_status(self, dialect: Dialect) -> None:
        assert give(dialect, stream=False, error_after_chunks=1).response.status == 500

    def test_a_document_can_fail_to_come(self, dialect: Dialect) -> None:
        given = Given(dialect, Faults(hang_after_chunks=1), stream=False)
        given.run(given.response.leave)
        assert not given.response.is_started


def test_an_answer_has_the_headers_of_the_script() -> None:
    for stream in (True, False):
        given = give(Dialect.CHAT, stream=stream, headers={"X-Extra": "1"})
        assert given.response.headers[b"x-extra"] == b"1"
