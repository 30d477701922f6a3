from hypothesis import given
from hypothesis import strategies as st

from ringfence.testing.model.emission import Call, Tokens, fit, split


@given(st.text(min_size=1).filter(lambda text: not text.isspace()))
def test_the_tokens_of_a_text_make_up_the_text(text: str) -> None:
    assert split(text).text == text


def test_a_word_is_a_token_and_a_long_one_is_several() -> None:
    assert split("two words").count == 2
    assert split("x" * 25).count == 3


def test_tokens_begin_anew_when_they_run_out() -> None:
    assert Tokens(("a ", "b "), 5).text == "a b a b a "


def test_nothing_is_no_token() -> None:
    assert not split("")
    assert list(split("")) == []


def test_without_a_limit_all_is_given() -> None:
    fitted = fit(split("a b"), split("c"), (), None)
    assert (fitted.tokens, fitted.is_cut) == (3, False)


def test_an_exact_limit_cuts_nothing() -> None:
    assert not fit(split("a b"), split("c"), (), 3).is_cut


def test_text_is_cut_after_reasoning() -> None:
    fitted = fit(split("a b"), split("c d"), (), 3)
    assert (fitted.reasoning.count, fitted.text.text, fitted.is_cut) == (2, "c ", True)


def test_a_tool_call_is_given_whole_or_not_at_all() -> None:
    call = Call(id="1", name="w", arguments='{"a": 1}')
    assert call.tokens == 3
    whole = fit(Tokens(), Tokens(), (call, call), 5)
    assert (whole.tool_calls, whole.is_cut) == ((call,), True)
    assert fit(Tokens(), Tokens(), (call,), 2).tool_calls == ()
