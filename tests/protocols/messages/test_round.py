from tests.protocols.conversation import CODECS, Call, body
from tests.protocols.hinting import check_hint, check_result_mark

from ringfence.domain.model import Dialect
from ringfence.protocols.messages import round as rounds


def test_a_hint_stands_in_the_last_result_and_nothing_else_changes() -> None:
    check_hint(Dialect.MESSAGES, rounds.hint_edits)


def test_the_quick_look_sees_a_result_of_any_length() -> None:
    check_result_mark(Dialect.MESSAGES, rounds.is_result)


def test_what_is_no_result_gets_no_hint() -> None:
    raw = body(Dialect.MESSAGES, ["hello", [Call("a", {}, "x")], "and now?"])
    request = CODECS[Dialect.MESSAGES].parse(raw, path_model="flash")
    assert rounds.hint_edits(raw, request.message_spans[-1], "stop") == []
