import json

import pytest
from tests.tools import tool

from ringfence.analysis.tool_lock import read, write
from ringfence.analysis.tool_pin import canonical
from ringfence.domain.error import UsageError
from ringfence.domain.tool import ToolDefinition


def _canonical(definition: ToolDefinition) -> bytes:
    return canonical(json.loads(definition.raw))


def test_what_is_written_is_read_back() -> None:
    get = tool("get", "Größe\u200b.", annotations={"x": 1.50})
    put = tool("put", server="pay")
    data = write({"crm": [get], "pay": [put], "empty": []})
    assert read(data) == {"crm": (_canonical(get),), "pay": (_canonical(put),), "empty": ()}


def test_the_same_tools_give_the_same_bytes_in_whatever_order() -> None:
    one, other = tool("get"), tool("put")
    assert write({"crm": [one, other], "a": []}) == write({"a": [], "crm": [other, one]})


def test_what_hides_is_seen_in_a_review() -> None:
    data = write({"crm": [tool("get", "Does\u200b it.")]})
    assert b"Does\\u200b it." in data
    assert data.isascii()
    assert data.endswith(b"}\n")


def _changed(**members: object) -> bytes:
    document = json.loads(write({"crm": [tool("get")]}))
    document["servers"]["crm"]["get"].update(members)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<<<<<<< ours\n{}", "cannot be read: expecting value: line 1"),
        (b'{"format":1,"format":1}', "a name stands twice"),
        (b"[]", "is not of format 1"),
        (b'{"format":2,"servers":{}}', "is not of format 1"),
        (b'{"format":1}', "has no `servers`"),
        (b'{"format":1,"servers":{"crm":[]}}', "has no tools of `crm`"),
        (b'{"format":1,"servers":{"crm":{"get":{}}}}', "has no definition of `crm__get`"),
        (_changed(definition={"name": "get"}), "that its pin does not fit"),
        (_changed(definition={"name": "put"}), "has no definition of `crm__get`"),
        (_changed(definition={"name": "get", "x": "\ud800"}), "that is no text"),
    ],
)
def test_a_lock_that_was_tampered_with_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read(data)
    assert caught.value.code == "lock_invalid"
    assert "ringfence tools lock" in caught.value.help
