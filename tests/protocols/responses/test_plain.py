import pytest

from ringfence.protocols.responses.plain import are_plain, is_plain


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"message","role":"user","content":"x"}',
        b'{"role":"user","content":[{"type":"input_text","text":"x"}]}',
        b'{"type":"reasoning","id":"rs","summary":[],"content":null,"encrypted_content":"gA"}',
        b'{"type":"function_call","name":"f","arguments":"{}","call_id":"c"}',
        b'{"call_id":"c","output":"x","type":"function_call_output"}',
    ],
)
def test_items_of_text_are_plain(raw: bytes) -> None:
    assert is_plain(raw)
    assert are_plain(b"[" + raw + b"]")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"message","id":"msg_1"}',
        b'{"id":"msg_1"}',
        b'{"type":"message","content":"x","type":"item_reference"}',
        b'{"type":"item_reference","content":"x","type":"message"}',
        b'{"type":"message","content":"x","content":[{"type":"input_image"}]}',
        b'{"type":"message","content":[{"type":"input_image"}],"content":"x"}',
        b'{"type":"message","content":[{"type":"input_text","type":"input_image"}]}',
        b'{"type":"reasoning","id":"rs","encrypted_content":"gA","encrypted_content":""}',
        b'{"type":"reasoning","id":"rs","encrypted_content":null}',
        b'{"type":"function_call_output","output":[{"type":"input_file"}]}',
    ],
)
def test_whatever_might_hold_more_is_not_plain(raw: bytes) -> None:
    assert not is_plain(raw)
    assert not are_plain(b"[" + raw + b"]")
