import json

import pytest

from ringfence.domain.error import PeerError
from ringfence.protocols.mcp import listing

RESULT = b'{"_meta":{"a":1},"tools":[{"name":"x","v":1}, {"name":"y"}],"nextCursor":"2","z":true}'


def test_a_page_is_read_and_written_with_all_else_it_says() -> None:
    page = listing.read(RESULT, "tools/list")
    assert (page.entries, page.cursor) == ((b'{"name":"x","v":1}', b'{"name":"y"}'), "2")
    written = listing.write(RESULT, "tools/list", page.entries[:1], "", b'"cacheScope":"private"')
    assert json.loads(written) == {
        "_meta": {"a": 1},
        "tools": [{"name": "x", "v": 1}],
        "z": True,
        "cacheScope": "private",
    }
    assert json.loads(listing.write(b"", "prompts/list", (), "c", b"")) == {
        "prompts": [],
        "nextCursor": "c",
    }


def test_an_entry_gets_its_merged_name_and_keeps_the_rest() -> None:
    assert json.loads(listing.renamed(b'{"v":[1],"name":"x"}', "crm")) == {
        "v": [1],
        "name": "crm__x",
    }
    assert listing.renamed(b'{"v":1}', "crm") == b'{"v":1}'


@pytest.mark.parametrize("raw", [b'{"tools":{}}', b'{"tools":[', b'{"tools":[],"tools":[]}', b"[]"])
def test_what_is_no_list_is_the_servers_fault(raw: bytes) -> None:
    with pytest.raises(PeerError, match="list"):
        listing.read(raw, "tools/list")
