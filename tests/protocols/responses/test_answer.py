import json
from pathlib import Path

import pytest

from ringfence.domain.error import PeerError
from ringfence.domain.usage import Usage
from ringfence.protocols.responses.answer import read_answer

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts/openai"
ANSWER = (TRANSCRIPTS / "responses_answer.json").read_bytes()


def _with(**fields: object) -> bytes:
    return json.dumps({**json.loads(ANSWER), **fields}).encode()


def test_an_answer_is_read() -> None:
    answer = read_answer(ANSWER)
    assert answer.usage == Usage(
        input_tokens=36,
        output_tokens=87,
        cache_read_tokens=12,
        cache_write_tokens=9,
        cache_write_1h_tokens=3,
        reasoning_tokens=64,
    )
    assert (answer.finish, answer.error) == ("completed", "")
    assert answer.tool_calls == ("get_weather",)
    assert answer.provider_object == "resp_0a1"
    assert answer.provider_items == ("rs_0a2", "fc_0b1", "msg_0a3")


def test_an_answer_that_is_not_kept_has_no_id() -> None:
    answer = read_answer(_with(store=False))
    assert (answer.provider_object, answer.provider_items) == ("", ())


def test_an_incomplete_answer_says_why_it_ended() -> None:
    incomplete = {"reason": "max_output_tokens"}
    answer = read_answer(_with(status="incomplete", incomplete_details=incomplete))
    assert answer.finish == "max_output_tokens"


def test_a_failed_answer_says_its_code() -> None:
    answer = read_answer(_with(status="failed", error={"code": "server_error", "message": "x"}))
    assert (answer.finish, answer.error) == ("failed", "server_error")


def test_an_error_document_is_read() -> None:
    body = b'{"error":{"type":"invalid_request_error","code":null,"message":"x"}}'
    assert read_answer(body).error == "invalid_request_error"


def test_tools_of_the_provider_are_counted_as_billed_or_as_seen() -> None:
    output = [{"type": kind} for kind in ("web_search_call", "mcp_call", "mcp_call")]
    usage = read_answer(_with(output=output)).usage
    assert usage is not None
    assert usage.hosted_uses == {"web_search": 1, "mcp": 2}
    usage = read_answer(_with(output=output, tool_usage={"web_search": {"num_requests": 3}})).usage
    assert usage is not None
    assert usage.hosted_uses == {"web_search": 3, "mcp": 2}


def test_calls_without_a_name_are_named_by_their_type() -> None:
    output = [{"type": "local_shell_call"}, {"type": "apply_patch_call"}, {"type": "message"}]
    assert read_answer(_with(output=output)).tool_calls == ("local_shell", "apply_patch")


@pytest.mark.parametrize("body", [b"{}", b'{"output":[1,{"type":1,"id":2}],"usage":1,"error":0}'])
def test_unexpected_types_count_as_absent(body: bytes) -> None:
    answer = read_answer(body)
    assert (answer.usage, answer.tool_calls, answer.error) == (None, (), "")


def test_what_is_not_an_object_is_malformed() -> None:
    with pytest.raises(PeerError) as caught:
        read_answer(b"nope")
    assert caught.value.code == "provider_malformed"
