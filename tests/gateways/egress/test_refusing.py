"""How refusals of egress look to clients."""

import pytest

from ringfence.domain.verdict import Code, Deny, Reason, Throttle
from ringfence.enforcement.refusal import RefusedAction
from ringfence.gateways.egress import refusing
from ringfence.testing.http import MemoryResponse

REPEATED = {408, 425, 429, 500, 502, 503, 504}
"""What curl, pip, npm and git repeat by themselves."""


def refused(code: Code, wait_s: float | None = None) -> RefusedAction:
    why = Reason(code=code, message="Ringfence says no.\r\nReally: \u00e9")
    verdict = Deny(reason=why) if wait_s is None else Throttle(reason=why, retry_after_s=wait_s)
    return RefusedAction(verdict=verdict, action="act_1", invocation="inv_1")


@pytest.mark.parametrize("code", list(Code))
def test_what_is_refused_for_good_is_not_repeated(code: Code) -> None:
    response = MemoryResponse()
    refusing.answer(response, refused(code))
    transient = {
        Code.PROVIDER_UNAVAILABLE,
        Code.PROVIDER_MALFORMED,
        Code.PROVIDER_TIMEOUT,
        Code.CIRCUIT_OPEN,
        Code.STORE_UNAVAILABLE,
        Code.SHUTTING_DOWN,
        Code.RATE_EXCEEDED,
    }
    assert (response.status in REPEATED) == (code in transient)
    assert response.headers[b"ringfence-refusal"] == code.value.encode()
    assert response.headers[b"ringfence-action"] == b"act_1"


def test_who_may_ask_again_is_told_when() -> None:
    response = MemoryResponse()
    refusing.answer(response, refused(Code.RATE_EXCEEDED, 2.4))
    assert response.headers[b"retry-after"] == b"2"


def test_the_status_line_of_a_tunnel_is_one_line() -> None:
    said = refusing.tunnel_refusal(refused(Code.OUT_OF_SCOPE))
    head = said.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert head[0] == b"HTTP/1.1 403 Ringfence says no.??Really: ?"
    assert all(b": " in line for line in head[1:])


def test_an_answer_that_has_begun_is_cut() -> None:
    response = MemoryResponse()
    response.start(200, ())
    refusing.answer(response, refused(Code.LIMIT_REACHED))
    assert response.is_aborted
