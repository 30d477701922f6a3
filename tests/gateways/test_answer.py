import msgspec
import pytest

from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.refusal import RefusedAction
from ringfence.gateways.answer import answer_refusal, client_of, engine_refusal, own_headers
from ringfence.testing.http import MemoryRequest, MemoryResponse

NO = Deny(reason=Reason(code=Code.BUDGET_EXHAUSTED, message="No money is left."))


def test_a_refusal_names_its_action_and_invocation() -> None:
    response = MemoryResponse()
    refused = RefusedAction(verdict=NO, action="act_1", invocation="inv_1")
    answer_refusal(MemoryRequest("POST", "/"), response, Dialect.CHAT, refused)
    assert response.status == 402
    assert response.headers[b"ringfence-action"] == b"act_1"
    assert response.headers[b"ringfence-invocation"] == b"inv_1"
    assert response.headers[b"x-should-retry"] == b"false"


def test_nobody_is_answered_who_has_left() -> None:
    response = MemoryResponse()
    response.leave()
    refused = RefusedAction(verdict=NO, action="act_1")
    answer_refusal(MemoryRequest("POST", "/"), response, None, refused)
    assert not response.is_started


def test_what_is_not_known_is_not_claimed() -> None:
    assert own_headers("", "") == []


def test_the_client_is_cut_to_what_a_record_needs() -> None:
    assert client_of([(b"accept", b"*"), (b"user-agent", b"\xff" + b"x" * 500)]) == "ÿ" + "x" * 119
    assert client_of([]) == ""


@pytest.mark.parametrize("code", ["request_malformed", "request_too_large", "rate_exceeded"])
def test_the_engine_refuses_in_the_same_form(code: str) -> None:
    headers, body = engine_refusal(400, code, "the head is too long")
    error = msgspec.json.decode(body)["error"]
    assert error["code"] == error["ringfence"]["code"] == code
    assert "the head is too long" in error["message"]
    assert dict(headers)[b"content-type"] == b"application/json"
