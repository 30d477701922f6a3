import json

from ringfence.domain.error import UnavailableError
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.refusal import RefusedAction
from ringfence.gateways.tool import said
from ringfence.gateways.tool.channel import Failure
from ringfence.protocols.mcp import message, request
from ringfence.protocols.mcp.message import Envelope
from ringfence.protocols.mcp.request import LOG_LEVEL, Asked
from ringfence.protocols.mcp.version import Era

REFUSED = RefusedAction(
    verdict=Deny(reason=Reason(code=Code.TOOL_UNKNOWN, message="No such tool.")), action="act_1"
)


def asked(method: str, **params: object) -> Asked:
    document = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return request.read(message.read(json.dumps(document).encode()))


def test_a_refused_tool_is_a_result_and_anything_else_an_error() -> None:
    raw, status = said.refusal(asked("tools/call", name="x"), REFUSED, Era.LEGACY)
    result = json.loads(raw)["result"]
    assert (status, result["isError"], "resultType" in result) == (200, True, False)
    raw, _ = said.refusal(asked("tools/call", name="x"), REFUSED, Era.MODERN)
    assert json.loads(raw)["result"]["resultType"] == "complete"
    raw, _ = said.refusal(asked("resources/read", uri="x"), REFUSED, Era.MODERN)
    assert json.loads(raw)["error"]["data"]["code"] == "tool_unknown"


def test_a_failure_says_what_is_known_of_what_was_done() -> None:
    error = UnavailableError("provider_unavailable", "no way")
    unsent = said.failed("crm", Failure(error=error, was_sent=False))
    assert "nothing was done" in unsent.message
    sent = said.failed("crm", Failure(error=error))
    assert "not known" in sent.message
    ours = said.failed("crm", Failure(error=error, status=401))
    assert "own credential" in ours.message
    assert dict(ours.facts)["status"] == "401"


def test_log_messages_reach_a_modern_client_only_if_it_wants_them() -> None:
    log = Envelope(method="notifications/message")
    wanting = asked("tools/call", name="x", _meta={LOG_LEVEL: "info"})
    plain = asked("tools/call", name="x")
    assert said.may_pass(log, wanting, Era.MODERN)
    assert not said.may_pass(log, plain, Era.MODERN)
    assert said.may_pass(log, plain, Era.LEGACY)
    assert said.may_pass(Envelope(method="notifications/progress"), plain, Era.MODERN)
