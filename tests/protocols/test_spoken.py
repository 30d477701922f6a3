import pytest

from ringfence.domain.error import PeerError
from ringfence.protocols.spoken import spoken


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b'{"role":"user","content":"hello"}', "hello"),
        (
            b'{"role":"user","content":[{"type":"text","text":"a"},{"text":"b"}]}',
            "a\nb",
        ),
        (b'{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]}', "a"),
        (b'"all text"', "all text"),
        (b'{"role":"user","parts":[{"text":"a"},{"inlineData":{}}]}', "a"),
        (b'{"parts":[{"text":"a"}]}', "a"),
        (b'{"role":"assistant","content":"x"}', ""),
        (b'{"role":"model","parts":[{"text":"x"}]}', ""),
        (b'{"role":"system","content":"x"}', ""),
        (b'{"role":"user","content":[{"type":"tool_result","content":"x","text":"x"}]}', ""),
        (b'{"type":"function_call_output","call_id":"c","output":"x"}', ""),
        (b'{"role":"user","content":7}', ""),
        (b'{"role":"user","content":[7,{"type":"text","text":7}]}', ""),
        (b"7", ""),
    ],
)
def test_what_a_person_said_is_read_in_every_dialect(message: bytes, said: str) -> None:
    assert spoken(message) == said


def test_a_message_that_others_might_read_differently_is_refused() -> None:
    with pytest.raises(PeerError):
        spoken(b'{"role":"user","content":"harmless","content":"dosage"}')
