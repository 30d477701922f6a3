"""What an agent tells of a request is read as every other reader would, or not at all."""

import pytest
from tests.gateways.world import agent, organisation

from ringfence.domain.error import PeerError
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.http_call import HttpKnock
from ringfence.enforcement.runtime import AgentRuntime
from ringfence.gateways.action_form import RequestOrder
from ringfence.gateways.action_knock import http_knock, told
from ringfence.gateways.head import Head
from ringfence.testing.http import MemoryRequest

CALLER = Caller(runtime=AgentRuntime(organisation(), agent()), credential="crd_1")
HEAD = Head(path=b"/ringfence/v1/actions", hints=(), client="", acts_for_user=False)


def knock(url: str, method: str = "GET") -> HttpKnock:
    order = RequestOrder(url=url, method=method)
    request = MemoryRequest("POST", "/ringfence/v1/actions", headers=[], body=b"")
    return http_knock(CALLER, request, HEAD, order)


@pytest.mark.parametrize("url", ["https://a.example/x#y", "https://a.example/\tx", "x", ""])
def test_what_readers_would_read_differently_is_refused(url: str) -> None:
    with pytest.raises(PeerError):
        knock(url)


def test_a_request_says_where_it_goes_in_one_form() -> None:
    found = knock("https://A.example:443/p?q=1", "PUT")
    assert (found.destination.host, found.destination.port) == ("a.example", 443)
    assert (found.path, found.query, found.method) == (b"/p", b"q=1", "PUT")
    assert told(RequestOrder(url="https://a.example/")) == (
        b'{"url":"https://a.example/","method":"GET"}'
    )
