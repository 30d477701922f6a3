import asyncio

import pytest
from tests.testing.tools.asking import META

from ringfence.testing.tools.dialogue import Dialogue, Offer, RpcError
from ringfence.testing.tools.plan import Json, Plan


async def nobody(message: Json) -> None:
    raise AssertionError(message)


def answer(dialogue: Dialogue, method: str, **params: object) -> Json:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    result: Json = asyncio.run(dialogue.answer(message, nobody))["result"]
    return result


def test_a_legacy_session_keeps_its_own_count() -> None:
    offer = Offer(Plan())
    one, two = (Dialogue(offer, name, is_modern=False) for name in ("one", "two"))
    counts = [
        answer(each, "tools/call", name="counter")["content"][0]["text"] for each in (one, one, two)
    ]
    assert counts == ["1", "2", "1"]
    assert [call.session for call in offer.journal.calls] == ["one", "one", "two"]


def test_a_modern_question_is_a_result_and_its_answer_a_new_request() -> None:
    dialogue = Dialogue(Offer(Plan()), "", is_modern=True)
    asked = answer(dialogue, "tools/call", name="ask", _meta=META)
    assert (asked["resultType"], list(asked["inputRequests"])) == ("input_required", ["name"])
    given = {"name": {"action": "accept", "content": {"name": "Ada"}}}
    told = answer(dialogue, "tools/call", name="ask", inputResponses=given, _meta=META)
    assert (told["resultType"], told["content"][0]["text"]) == ("complete", "accept: Ada")


def test_what_a_client_cannot_do_is_not_asked_of_it() -> None:
    dialogue = Dialogue(Offer(Plan()), "", is_modern=True)
    with pytest.raises(RpcError) as refused:
        answer(dialogue, "tools/call", name="sample", arguments={"prompt": "x"}, _meta=META)
    assert refused.value.error["code"] == -32021


def test_a_modern_request_needs_its_meta_and_a_known_version() -> None:
    dialogue = Dialogue(Offer(Plan()), "", is_modern=True)
    for meta, code in (({}, -32602), ({**META, next(iter(META)): "1900-01-01"}, -32022)):
        with pytest.raises(RpcError) as refused:
            answer(dialogue, "tools/list", _meta=meta)
        assert refused.value.error["code"] == code


def test_lists_come_in_pages() -> None:
    dialogue = Dialogue(Offer(Plan(page=5)), "s", is_modern=False)
    names: list[str] = []
    cursor: Json = {}
    while True:
        page = answer(dialogue, "tools/list", **cursor)
        names += [tool["name"] for tool in page["tools"]]
        if "nextCursor" not in page:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert len(names) == len(set(names)) == 14


def test_the_rug_is_pulled_after_so_many_calls() -> None:
    offer = Offer(Plan(rug_pull_after=2))
    dialogue = Dialogue(offer, "s", is_modern=False)
    first = answer(dialogue, "tools/list")["tools"][0]
    for _ in range(2):
        answer(dialogue, "tools/call", name="echo", arguments={"text": "x"})
    assert answer(dialogue, "tools/list")["tools"][0] != first
