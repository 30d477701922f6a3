import json

import pytest

from ringfence.protocols.mcp import identity


def test_our_own_requests_say_who_asks() -> None:
    params = json.loads(identity.params(identity.OWN, {"cursor": b'"x"'}))
    assert params["cursor"] == "x"
    assert params["_meta"]["io.modelcontextprotocol/clientInfo"]["name"] == "ringfence"
    assert json.loads(identity.INTRODUCTION)["capabilities"] == {}


_INFO = b'{"name":"crm","version":"2.1","title":"CRM"}'


@pytest.mark.parametrize(
    ("results", "server"),
    [
        ((b'{"_meta":{"io.modelcontextprotocol/serverInfo":%b},"tools":[]}' % _INFO,), "crm 2.1"),
        ((b'{"tools":[]}', b'{"serverInfo":%b,"capabilities":{}}' % _INFO), "crm 2.1"),
        ((b"", b"{}"), ""),
        ((b"not json", b'{"serverInfo":{"name":"x"}}'), "x"),
        ((b'{"serverInfo":7}',), ""),
    ],
)
def test_a_server_says_what_it_is_in_either_era(results: tuple[bytes, ...], server: str) -> None:
    assert identity.server_of(*results) == server
