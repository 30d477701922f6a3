import json

import pytest

from ringfence.domain.error import PeerError
from ringfence.protocols.tool_definition import MOST_BYTES, read_definition


def test_a_definition_keeps_its_bytes_and_gives_its_parts() -> None:
    raw = (
        b'{ "name":"add", "title":"Add","description":"Adds.","x-vendor":[1],'
        b'"annotations":{"readOnlyHint":true,"odd":3},'
        b'"inputSchema":{"type":"object", "properties":{"b":{"minimum":0.5},"a":{}}}}'
    )
    tool = read_definition("calc", raw)
    assert tool.raw == raw
    assert tool.key.merged == "calc__add"
    assert (tool.title, tool.description) == ("Add", "Adds.")
    assert tool.input_schema == b'{"properties":{"a":{},"b":{"minimum":0.5}},"type":"object"}'
    assert tool.output_schema == b""
    assert tool.annotations == (("readOnlyHint", True),)


def test_a_definition_without_schemas_takes_anything() -> None:
    tool = read_definition("calc", b'{"name":"x","outputSchema":{"type":"object"}}')
    assert (tool.input_schema, tool.output_schema) == (b"{}", b'{"type":"object"}')


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        b"{}",
        b'{"name":""}',
        b'{"name":7}',
        b'{"name":"x","name":"y"}',
        b'{"name":"x","inputSchema":{"a":1,"a":2}}',
        b'{"name":"x"}x',
        b'{"name":"x","description":"\\ud800"}',
        b'{"name":"x","inputSchema":{"minimum":NaN}}',
        b'{"name":"\xff"}',
        json.dumps({"name": "x" * 129}).encode(),
        json.dumps({"name": "x", "description": "y" * MOST_BYTES}).encode(),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(raw: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        read_definition("calc", raw)
    assert caught.value.code == "tool_malformed"
