import socket
from pathlib import Path

import msgspec
import pytest
from tests.cli.installation import Installation

from ringfence.api import local
from ringfence.cli.carrier import Begin, Order
from ringfence.cli.connection import Connection, Place, connect, connect_running
from ringfence.config.settings import resolve
from ringfence.domain.error import RingfenceError, UnavailableError, UsageError


class Carrier:
    """Gives the same answers in turn and keeps what it was asked."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.orders: list[Order] = []
        self._answers = list(answers)

    def carry(self, order: Order, begin: Begin) -> None:
        self.orders.append(order)
        status, body = self._answers.pop(0)
        begin(status)(body)


def place(folder: Path, organisation: str | None = None) -> Place:
    settings = resolve({}, data=str(folder), config=str(folder.parent / "ringfence.yaml"))
    return Place(settings=settings, organisation=organisation)


def connection(carrier: Carrier, organisation: str | None = None) -> Connection:
    return Connection(carrier, place(Path("data"), organisation), is_running=True)


def test_an_error_of_the_api_becomes_ours() -> None:
    body = b'{"error":{"code":"agent_unknown","message":"no agent named `x`","help":"look"}}'
    with pytest.raises(UsageError) as caught:
        connection(Carrier((404, body))).get("/agents/x")
    error = caught.value
    assert (error.code, error.message, error.help) == (
        "agent_unknown",
        "no agent named `x`",
        "look",
    )


def test_what_is_away_for_now_is_unavailable() -> None:
    body = b'{"error":{"code":"store_unavailable","message":"away","help":""}}'
    with pytest.raises(UnavailableError):
        connection(Carrier((503, body))).get("/agents")


def test_an_error_that_is_no_document_is_said_by_its_status() -> None:
    with pytest.raises(RingfenceError, match="status 500"):
        connection(Carrier((500, b"<html>"))).get("/agents")


def test_a_listing_is_read_page_after_page() -> None:
    carrier = Carrier((200, b'{"items":[1,2],"next":"2"}'), (200, b'{"items":[3],"next":null}'))
    items = connection(carrier, "acme").listing("/things", agent="a b", since_us=None)
    assert [msgspec.json.decode(item) for item in items] == [1, 2, 3]
    assert [order.target for order in carrier.orders] == [
        "/api/v1/things?agent=a+b&limit=1000&organisation=acme",
        "/api/v1/things?agent=a+b&limit=1000&after=2&organisation=acme",
    ]


def test_a_bounded_listing_asks_for_no_more_than_it_needs() -> None:
    carrier = Carrier((200, b'{"items":[1,2,3],"next":"3"}'))
    assert len(connection(carrier).listing("/things", 3)) == 3
    assert carrier.orders[0].target == "/api/v1/things?limit=3"


def test_a_stream_is_passed_on_but_an_error_is_not() -> None:
    written: list[bytes] = []
    connection(Carrier((200, b"lines"))).stream("/export", written.append)
    assert written == [b"lines"]
    with pytest.raises(UsageError):
        connection(Carrier((400, b"{}"))).stream("/export", written.append)
    assert written == [b"lines"]


def test_a_socket_left_over_from_a_crash_is_no_plane(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(data / local.FILE))
    with pytest.raises(UnavailableError) as caught:
        connect_running(place(data))
    assert caught.value.code == "plane_not_running"


def test_a_running_plane_is_preferred(plane: Installation) -> None:
    with connect(place(plane.data)) as reached:
        assert reached.is_running


def test_a_stopped_plane_is_read_in_this_process(stopped: Installation) -> None:
    with connect(place(stopped.data)) as reached:
        assert not reached.is_running
        assert msgspec.json.decode(reached.get("/status"))["is_serving"] is False
