import pytest

from ringfence.domain.error import PeerError
from ringfence.protocols.mcp.greeting import read_greeting


def test_a_greeting_says_its_revision_and_what_the_server_can_do() -> None:
    raw = b'{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"x":1}'
    found = read_greeting(raw)
    assert (found.version, found.capabilities) == ("2025-06-18", b'{"tools":{}}')


def test_what_is_no_greeting_is_the_servers_fault() -> None:
    with pytest.raises(PeerError, match="greeting"):
        read_greeting(b'{"protocolVersion":1}')
