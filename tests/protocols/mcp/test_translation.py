import json

import pytest

from ringfence.domain.error import PeerError
from ringfence.protocols.mcp import message, request, translation
from ringfence.protocols.mcp.request import Asked

GREETING = b'{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"s"}}'


def asked(**params: object) -> Asked:
    document = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return request.read(message.read(json.dumps(document).encode()))


def test_a_greeting_of_either_era_becomes_one_of_the_other() -> None:
    found = json.loads(translation.discovered_of(GREETING))
    assert found["capabilities"] == {"tools": {}}
    assert found["_meta"][request.SERVER] == {"name": "s"}
    back = json.loads(translation.greeting_of(json.dumps(found).encode(), "2025-03-26"))
    assert back == {
        "protocolVersion": "2025-03-26",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "s"},
    }


def test_a_legacy_client_is_introduced_in_every_request() -> None:
    introduction = b'{"capabilities":{"sampling":{}},"clientInfo":{"name":"c"}}'
    meta = translation.meta_of(introduction, b'"info"')
    assert meta[request.CAPABILITIES] == b'{"sampling":{}}'
    assert (meta[request.CLIENT], meta[request.LOG_LEVEL]) == (b'{"name":"c"}', b'"info"')
    assert request.LOG_LEVEL not in translation.meta_of(introduction, b"")


def test_a_modern_client_introduces_itself_with_what_it_can_do() -> None:
    meta = {request.CAPABILITIES: {"roots": {}}, request.CLIENT: {"name": "c"}}
    introduction = json.loads(translation.introduction_of(asked(_meta=meta)))
    assert introduction["capabilities"] == {"roots": {}}
    assert introduction["clientInfo"] == {"name": "c"}


def test_a_round_is_read_and_answered() -> None:
    result = (
        b'{"resultType":"input_required","inputRequests":{"k":{"method":"m"}},"requestState":"s"}'
    )
    found = translation.round_of(result)
    assert found is not None
    assert (found.requests, found.state) == ({"k": b'{"method":"m"}'}, "s")
    assert translation.question_of(found.requests["k"]).method == "m"
    again = translation.answered(asked(name="x", requestState="old"), b"9", {"k": b"1"}, "s")
    assert json.loads(again) == {
        "jsonrpc": "2.0",
        "id": 9,
        "method": "tools/call",
        "params": {"name": "x", "inputResponses": {"k": 1}, "requestState": "s"},
    }
    assert translation.answers_of(asked(inputResponses={"k": {"a": 1}})) == {"k": b'{"a": 1}'}


def test_a_result_that_only_speaks_of_rounds_is_complete() -> None:
    assert translation.round_of(b'{"content":[{"text":"input_required"}]}') is None
    assert translation.round_of(b"{}") is None
    with pytest.raises(PeerError):
        translation.round_of(b'{"resultType":"input_required","inputRequests":[]}')


@pytest.mark.parametrize("raw", [b"{}", b'{"a":1}', b' { "resultType":"task" } '])
def test_a_legacy_result_says_in_modern_words_that_it_is_complete(raw: bytes) -> None:
    done = json.loads(translation.completed(raw, "resources/read"))
    before = json.loads(raw)
    assert done == {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", **before}
    assert "ttlMs" not in json.loads(translation.completed(raw, "tools/call"))


@pytest.mark.parametrize("params", ["", ',"params":{}', ',"params":{"_meta":{"a":1},"uri":"u"}'])
def test_a_notification_is_marked_with_its_subscription(params: str) -> None:
    raw = f'{{"jsonrpc":"2.0","method":"notifications/x"{params}}}'.encode()
    once = translation.tagged(raw, b'"s1"')
    assert json.loads(once)["params"]["_meta"][request.SUBSCRIPTION] == "s1"
    assert json.loads(translation.tagged(once, b"2"))["params"]["_meta"][request.SUBSCRIPTION] == 2


def test_a_missing_resource_has_another_code_in_each_era() -> None:
    assert translation.error_code(-32002, is_modern=True) == -32602
    assert translation.error_code(-32002, is_modern=False) == -32002


def test_a_question_becomes_a_result_that_asks() -> None:
    found = json.loads(translation.asking("k", "elicitation/create", b'{"message":"?"}', "state"))
    assert found["inputRequests"]["k"]["params"] == {"message": "?"}
    assert (found["resultType"], found["requestState"]) == ("input_required", "state")
