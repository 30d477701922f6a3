"""What holds for a hint in every dialect."""

import json
from collections.abc import Callable

import pytest
from tests.protocols.conversation import CODECS, Call, Turn, body, request

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import ModelRequest
from ringfence.domain.model import Dialect
from ringfence.protocols.hint import MARK, hinted
from ringfence.protocols.strict_json import Edit, Span

Hinting = Callable[[bytes, Span, str], list[Edit]]

STORY: list[Turn] = ["Find it.", [Call("look", {"at": "1"}, "no"), Call("list", {}, 'a "b" é')]]
TEXT = 'the same "calls" gave\nthe same results.'


def parsed(dialect: Dialect, raw: bytes) -> ModelRequest:
    return CODECS[dialect].parse(raw, path_model="flash")


def check_hint(dialect: Dialect, hint_edits: Hinting) -> None:
    raw = body(dialect, STORY)
    asked = parsed(dialect, raw)
    changed = hinted(asked, hint_edits(raw, asked.message_spans[-1], TEXT))
    # The same bytes but for the hint, and whatever reads it reads what the codec reads of it.
    assert parsed(dialect, changed.body) == changed
    assert len(changed.body) > len(raw)
    text = json.dumps(json.loads(changed.body), ensure_ascii=False)
    assert text.count(MARK) == 1
    before = json.dumps(request(dialect, STORY), ensure_ascii=False)
    without = _without_hint(json.loads(changed.body))
    assert json.dumps(without, ensure_ascii=False) == before
    # A list of parts, an empty one and nothing at all take it too.
    spaced = json.dumps(json.loads(raw), indent=1).encode()
    again = parsed(dialect, spaced)
    wider = hinted(again, hint_edits(spaced, again.message_spans[-1], TEXT))
    assert parsed(dialect, wider.body) == wider
    # What two readers could read differently is refused, not guessed at.
    doubled = raw[: asked.message_spans[-1][0]] + raw[asked.message_spans[-1][0] :].replace(
        b"{", b'{"x":1,"x":2,', 1
    )
    start = asked.message_spans[-1][0]
    with pytest.raises(PeerError):
        hint_edits(doubled, (start, asked.message_spans[-1][1] + len('"x":1,"x":2,')), TEXT)


def check_result_mark(dialect: Dialect, is_result: Callable[[bytes], bool]) -> None:
    for size in (0, 200, 100_000):
        raw = body(dialect, [*STORY, [Call("read", {}, "text " * size)]])
        assert is_result(parsed(dialect, raw).messages[-1])
    assert not is_result(parsed(dialect, body(dialect, ["hello"])).messages[-1])


def _without_hint(value: object) -> object:
    if isinstance(value, dict):
        kept = {key: each for key, each in value.items() if key != "ringfence_hint"}
        return {key: _without_hint(each) for key, each in kept.items()}
    if isinstance(value, list):
        return [_without_hint(each) for each in value]
    if isinstance(value, str) and MARK in value:
        return value[: value.index("\n\n" + MARK)]
    return value
