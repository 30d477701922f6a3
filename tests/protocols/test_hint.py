"""Hints: a text or a list of parts grows by the hint, whatever its form; nothing else does."""

import json

import pytest
from tests.protocols.conversation import CODECS

from ringfence.domain.model import Dialect
from ringfence.protocols.chat.round import hint_edits
from ringfence.protocols.hint import MARK, hinted, marked
from ringfence.protocols.messages import round as messages


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('"gone"', "gone\n\n" + MARK + "stop]"),
        ('""', "\n\n" + MARK + "stop]"),
        ("null", "\n\n" + MARK + "stop]"),
        ("[]", [{"type": "text", "text": MARK + "stop]"}]),
        ("[ ]", [{"type": "text", "text": MARK + "stop]"}]),
        (
            '[{"type":"text","text":"gone"}]',
            [{"type": "text", "text": "gone"}, {"type": "text", "text": MARK + "stop]"}],
        ),
    ],
)
def test_content_of_every_form_takes_a_hint(content: str, expected: object) -> None:
    raw = (
        '{"model":"m","messages":[{"role":"user","content":"go"},'
        f'{{"role":"tool","tool_call_id":"c","content":{content}}}],"n":1}}'
    ).encode()
    asked = CODECS[Dialect.CHAT].parse(raw)
    changed = hinted(asked, hint_edits(raw, asked.message_spans[-1], "stop"))
    assert json.loads(changed.body)["messages"][1]["content"] == expected
    assert CODECS[Dialect.CHAT].parse(changed.body) == changed
    sent = CODECS[Dialect.CHAT].rewrite(changed, model="x", output_limit=7, inject_usage=False)
    assert json.loads(sent)["messages"][1]["content"] == expected
    assert json.loads(sent)["model"] == "x"


def test_a_result_without_content_gets_one() -> None:
    raw = (
        b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":'
        b'[{"type":"tool_result","tool_use_id":"t"},{"type":"text","text":"reminder"}]}]}'
    )
    asked = CODECS[Dialect.MESSAGES].parse(raw)
    changed = hinted(asked, messages.hint_edits(raw, asked.message_spans[-1], "stop"))
    result, reminder = json.loads(changed.body)["messages"][0]["content"]
    assert result["content"] == marked("stop")
    assert reminder == {"type": "text", "text": "reminder"}


def test_an_escape_at_the_end_of_a_text_stays_whole() -> None:
    raw = b'{"model":"m","messages":[{"role":"tool","content":"a\\\\\\""}]}'
    asked = CODECS[Dialect.CHAT].parse(raw)
    changed = hinted(asked, hint_edits(raw, asked.message_spans[-1], 'say "no"'))
    assert json.loads(changed.body)["messages"][0]["content"] == 'a\\"' + marked('say "no"')
