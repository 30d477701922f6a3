import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.protocols.mcp import message
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.message import Kind

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"}', Kind.REQUEST),
        (b'{"jsonrpc":"2.0","method":"notifications/x","params":{}}', Kind.NOTIFICATION),
        (b'{"jsonrpc":"2.0","id":"a","result":{}}', Kind.RESPONSE),
        (b'{"jsonrpc":"2.0","id":-7,"error":{}}', Kind.RESPONSE),
    ],
)
def test_a_message_says_what_it_is(raw: bytes, kind: Kind) -> None:
    assert message.read(raw).kind is kind
    assert message.open_envelope(raw).kind is kind


@pytest.mark.parametrize(
    "raw",
    [
        b'{"jsonrpc":"1.0","id":1,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":null,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}',
        b'{"jsonrpc":"2.0","id":1,"result":{},"error":{}}',
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"method":7}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}',
        b'{"jsonrpc":"2.0","ID":1,"id":2,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping"} x',
        b"\xff",
    ],
)
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(McpError):
        message.read(raw)


@given(st.dictionaries(st.text(min_size=1, max_size=6), VALUES, max_size=5))
def test_another_id_changes_nothing_else(extra: dict[str, object]) -> None:
    document = {**extra, "jsonrpc": "2.0", "id": 1, "method": "m", "params": {"a": [1, "x"]}}
    raw = json.dumps(document).encode()
    assert json.loads(message.replace_id(raw, b'"other"')) == {**document, "id": "other"}


def test_an_upstreams_nonsense_is_its_own_fault() -> None:
    with pytest.raises(PeerError, match="not valid"):
        message.open_envelope(b"{")


def test_what_is_written_is_read_back() -> None:
    asked = message.read(message.request(b"3", "tools/list", b'{"cursor":"x"}'))
    assert (asked.id, asked.method, asked.part("params")) == (b"3", "tools/list", b'{"cursor":"x"}')
    told = message.read(message.notification("notifications/x"))
    assert told.kind is Kind.NOTIFICATION
    assert message.read(message.response(b"3", b"{}")).part("result") == b"{}"
