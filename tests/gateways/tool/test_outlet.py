from collections.abc import Callable

from ringfence.gateways.tool.outlet import COMMENT_EVERY_US, OPEN_AFTER_US, Outlet
from ringfence.testing.http import MemoryResponse


def made() -> tuple[MemoryResponse, Outlet]:
    response = MemoryResponse()
    return response, Outlet(response, [(b"ringfence-action", b"act_1")], 0, b"3")


def test_an_answer_alone_is_a_document() -> None:
    response, outlet = made()
    outlet.answer(b"{}")
    assert (response.status, response.body, response.is_ended) == (200, b"{}", True)
    assert response.headers[b"content-type"] == b"application/json"
    assert response.headers[b"ringfence-action"] == b"act_1"
    outlet.answer(b"again")
    assert response.body == b"{}"


def test_what_comes_before_an_answer_makes_it_a_stream() -> None:
    response, outlet = made()
    outlet.say(b'{"a":1}')
    outlet.answer(b"{}")
    assert response.headers[b"x-accel-buffering"] == b"no"
    assert response.writes == [
        b'event: message\ndata: {"a":1}\n\n',
        b"event: message\ndata: {}\n\n",
    ]


def test_a_client_that_waits_is_told_that_it_still_does() -> None:
    response, outlet = made()
    outlet.keep_alive(OPEN_AFTER_US)
    assert not response.is_started
    outlet.keep_alive(OPEN_AFTER_US + 1)
    assert response.writes == [b": keep-alive\n\n"]
    outlet.keep_alive(OPEN_AFTER_US + 2)
    outlet.keep_alive(OPEN_AFTER_US + COMMENT_EVERY_US + 2)
    assert len(response.writes) == 2


def test_a_place_to_go_on_from_names_the_stream() -> None:
    response, outlet = made()
    outlet.mark(b"e1", 100)
    assert response.body == b"id: 3-e1\nretry: 100\ndata: \n\n"
    told: list[int] = []
    outlet.on_end(lambda: told.append(1))
    outlet.leave()
    outlet.leave()
    assert (response.is_ended, told) == (True, [1])


def test_nothing_is_said_to_a_client_that_has_left() -> None:
    response, outlet = made()
    response.leave()
    outlet.say(b"{}")
    outlet.answer(b"{}")
    assert response.writes == []


def test_a_message_of_several_lines_stays_one_event() -> None:
    response, outlet = made()
    outlet.say(b'{\n\n"a":1\r}')
    assert response.writes == [b'event: message\ndata: {  "a":1 }\n\n']


def test_what_a_client_does_not_read_is_not_kept_without_bounds() -> None:
    paused: list[Callable[[], None]] = []

    class Slow(MemoryResponse):
        def on_pause(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
            del resume
            paused.append(pause)

    response = Slow()
    outlet = Outlet(response, (), 0)
    outlet.open()
    paused[0]()
    for _ in range(9):
        outlet.say(b"x" * 1024 * 1024, may_drop=True)
    assert len(response.writes) == 4
