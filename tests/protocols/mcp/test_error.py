import json

from ringfence.domain.verdict import Ask, Code, Deny, Reason, Stop, Throttle
from ringfence.protocols.mcp import error as errors

WHY = Reason(code=Code.LIMIT_REACHED, message="No more.", facts=(("limit", "3"),))


def test_a_refusal_is_a_result_for_the_model_and_for_programs() -> None:
    verdict = Throttle(reason=WHY, retry_after_s=2.5)
    result = json.loads(errors.refused_result(verdict, "act_1"))
    assert result["isError"] is True
    assert result["content"] == [{"type": "text", "text": "No more."}]
    told = result["structuredContent"]
    assert (told["verdict"], told["retry_after_s"], told["limit"]) == ("throttle", "2.5", "3")
    assert told["action"] == "act_1"


def test_every_verdict_has_its_word() -> None:
    words = [errors.refused_data(each(reason=WHY))["verdict"] for each in (Deny, Ask, Stop)]
    assert words == ["deny", "ask", "stop"]


def test_an_error_of_a_peer_is_read_as_far_as_it_is_one() -> None:
    assert errors.read(b'{"code":-32002,"message":"gone","x":1}').code == -32002
    assert errors.read(b'"nonsense"').code == errors.INTERNAL
    fault = errors.read(b'{"code":-32022,"data":{"supported":["2026-07-28"],"requested":"x"}}')
    assert errors.supported(fault) == ["2026-07-28"]


def test_an_error_without_an_id_says_null() -> None:
    document = json.loads(errors.document(b"", errors.PARSE, "what", {"a": 1}))
    assert (document["id"], document["error"]["data"]) == (None, {"a": 1})
