import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.exchange import Message, Part, Reading
from ringfence.domain.verdict import Code, Reason
from ringfence.protocols.responses import ResponsesCodec, ResponsesReader

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts/openai"
REQUEST = (TRANSCRIPTS / "codex_request.json").read_bytes()
THOUGHT = Part(kind="reasoning", text="Thinking about weather")
CALL = Part(kind="tool_call", name="get_weather", id="call_a", text='{"city":"Paris"}')
SAID = Part(kind="text", text="Sunny, I think.")


def _read(request: bytes = REQUEST, response: bytes = b"", *, streamed: bool = False) -> Reading:
    return ResponsesReader().read_exchange(request, response, streamed=streamed)


def _stream(response: bytes) -> Reading:
    return _read(response=response, streamed=True)


def _sample(name: str) -> bytes:
    return (TRANSCRIPTS / name).read_bytes()


def test_the_request_of_codex_is_made_readable() -> None:
    reading = _read()
    assert [part.text for part in reading.system] == [
        "You are Codex, a coding agent.",
        "<permissions>read only</permissions>",
    ]
    assert reading.tools == ["shell", "apply_patch", "web_search"]
    assert [(message.role, *message.parts) for message in reading.context] == [
        ("user", Part(kind="text", text="list the files")),
        ("assistant", Part(kind="reasoning", text="Listing")),
        ("assistant", Part(kind="tool_call", name="shell", id="call_1", text='{"command":["ls"]}')),
        ("tool", Part(kind="tool_result", name="shell", id="call_1", text="README.md\n")),
        (
            "assistant",
            Part(kind="tool_call", name="apply_patch", id="call_2", text="*** Begin Patch"),
        ),
        ("tool", Part(kind="tool_result", name="apply_patch", id="call_2", text="done")),
    ]


def test_a_plain_input_is_a_message_of_the_user() -> None:
    reading = _read(b'{"input":"hi"}')
    assert reading.context == [Message(role="user", parts=[Part(kind="text", text="hi")])]


def test_an_answer_is_made_readable() -> None:
    reading = _read(response=_sample("responses_answer.json"))
    assert reading.answer == Message(role="assistant", parts=[THOUGHT, CALL, SAID])
    assert reading.finish == "completed"


def test_a_stream_is_read_by_its_last_event() -> None:
    reading = _stream(_sample("responses_text.sse"))
    assert reading.answer == Message(role="assistant", parts=[THOUGHT, SAID])
    assert reading.finish == "completed"
    assert _stream(_sample("responses_tools.sse")).finish == "max_output_tokens"


def test_a_stream_that_was_cut_is_put_together_from_its_pieces() -> None:
    whole = _sample("responses_text.sse")
    reading = _stream(whole[: whole.index(b'"delta":" think"')])
    assert reading.answer == Message(
        role="assistant", parts=[THOUGHT, Part(kind="text", text="Sunny, I")]
    )
    whole = _sample("responses_tools.sse")
    reading = _stream(whole[: whole.index(b"event: response.function_call_arguments.done")])
    assert reading.answer is not None
    assert reading.answer.parts[-1] == CALL


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("responses_failed.sse", ["Hel", "The model failed to generate a response."]),
        ("responses_error.sse", ["Rate limit reached."]),
    ],
)
def test_an_error_is_shown_after_what_came_before(name: str, said: list[str]) -> None:
    reading = _stream(_sample(name))
    assert reading.answer is not None
    assert [part.text for part in reading.answer.parts] == said
    assert reading.finish == "error"


def test_a_stop_of_ours_is_shown() -> None:
    reason = Reason(code=Code.BUDGET_EXHAUSTED, message="No money is left.")
    whole = _sample("responses_text.sse")
    before = whole[: whole.index(b"event: response.output_text.done")]
    reading = _stream(before + ResponsesCodec().stream_stop(reason))
    assert reading.answer is not None
    assert [part.text for part in reading.answer.parts][-2:] == [
        "Sunny, I think.",
        "No money is left.",
    ]


def test_an_error_document_is_shown_even_for_a_stream() -> None:
    for streamed in (False, True):
        reading = _read(response=b'{"error":{"message":"no"}}', streamed=streamed)
        assert reading.answer == Message(role="error", parts=[Part(kind="other", text="no")])


@pytest.mark.parametrize(
    ("item", "role", "parts"),
    [
        (
            {"type": "reasoning", "encrypted_content": "gA", "summary": []},
            "assistant",
            [Part(kind="reasoning", text="(encrypted)")],
        ),
        (
            {"type": "web_search_call", "id": "ws", "action": {"query": "x"}},
            "assistant",
            [Part(kind="tool_call", name="web_search", id="ws", text='{"query":"x"}')],
        ),
        (
            {"type": "function_call", "namespace": "crm", "name": "f", "arguments": "{}"},
            "assistant",
            [Part(kind="tool_call", name="crm.f", text="{}")],
        ),
        (
            {
                "type": "function_call_output",
                "call_id": "c",
                "output": [
                    {"type": "input_text", "text": "t"},
                    {"type": "input_image", "image_url": "https://x.example"},
                ],
            },
            "tool",
            [
                Part(kind="tool_result", id="c", text="t"),
                Part(kind="image", text="https://x.example"),
            ],
        ),
        (
            {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "x"}]},
            "tool",
            [Part(kind="tool_result", id="c", text='[{"stdout":"x"}]')],
        ),
        ({"id": "msg_1"}, "other", [Part(kind="other", id="msg_1")]),
        (
            {"role": "user", "content": [{"type": "input_file", "filename": "a.pdf"}]},
            "user",
            [Part(kind="media", text="a.pdf")],
        ),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            "assistant",
            [Part(kind="text", text="no")],
        ),
    ],
)
def test_items_are_made_readable(item: dict[str, object], role: str, parts: list[Part]) -> None:
    reading = _read(json.dumps({"input": [item]}).encode())
    assert reading.context == [Message(role=role, parts=parts)]


def test_tools_of_a_namespace_carry_its_name() -> None:
    tools = [{"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "f"}]}]
    assert _read(json.dumps({"tools": tools}).encode()).tools == ["crm.f"]


_NAMES = st.sampled_from(
    [
        "input",
        "role",
        "content",
        "type",
        "output",
        "tools",
        "response",
        "delta",
        "item",
        "error",
        "summary",
        "instructions",
        "output_index",
    ]
)


@given(
    st.recursive(
        st.none() | st.text("ab", max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
        max_leaves=12,
    )
)
def test_nothing_stops_a_reader(value: object) -> None:
    body = json.dumps(value).encode()
    for streamed in (False, True):
        _read(body, b"data: " + body + b"\n\n" if streamed else body, streamed=streamed)
