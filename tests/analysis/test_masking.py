import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.analysis import masking
from ringfence.analysis.masking import Finder, compile_pattern
from ringfence.domain.error import UsageError
from ringfence.domain.masking import Kind, MaskingRules

EVERY = MaskingRules(kinds=tuple(Kind))


def found(text: str, rules: MaskingRules = EVERY) -> list[tuple[str, str]]:
    return [(text[one.start : one.end], one.name) for one in Finder(rules).find(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to jane.roe+x@mail.example.org, please", ("jane.roe+x@mail.example.org", "email")),
        ("an jürgen@müller.example gehen", ("jürgen@müller.example", "email")),
        ("<jane@example.org>", ("jane@example.org", "email")),
        ("call +49 170 1234567 now", ("+49 170 1234567", "phone")),
        ("call 0049 (0)170/1234567.", ("0049 (0)170/1234567", "phone")),
        ("Tel. 0731 1234567", ("0731 1234567", "phone")),
        ("(415) 555-2671", ("(415) 555-2671", "phone")),
        ("card 4111 1111 1111 1111 until 12/26", ("4111 1111 1111 1111", "card")),
        ("378282246310005", ("378282246310005", "card")),
        ("5555-5555-5555-4444", ("5555-5555-5555-4444", "card")),
        ("IBAN DE89 3704 0044 0532 0130 00 BIC", ("DE89 3704 0044 0532 0130 00", "iban")),
        ("GB29NWBK60161331926819", ("GB29NWBK60161331926819", "iban")),
    ],
)
def test_what_is_personal_is_found_and_nothing_around_it(
    text: str, expected: tuple[str, str]
) -> None:
    assert found(text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "at 10:15 on 2024-01-02 or 02-01-2024 12:30",
        "4111 1111 1111 1112 is no card",
        "DE88370400440532013000",
        "version 1.2.3 of 127.0.0.1:8485, @decorator, a@b",
        "1700000000 and 1700000000123",
        "01a2b3c4-0000-4000-8000-000000000000",
        "sha256:00499999999999999999aaaaaaaaaaaaaaaaaaaaaaa",
        "\ud800 is no text",
    ],
)
def test_what_only_looks_like_it_is_left(text: str) -> None:
    assert found(text) == []


def test_several_are_found_in_order_and_the_one_named_first_wins() -> None:
    rules = MaskingRules(kinds=(Kind.EMAIL, Kind.CARD), patterns={"ticket": "ACME-[0-9]{6}"})
    text = "4111111111111111 ACME-123456@x.example a@b.example"
    assert found(text, rules) == [
        ("4111111111111111", "card"),
        ("ACME-123456", "ticket"),
        ("a@b.example", "email"),
    ]


@pytest.mark.parametrize(
    "text", ["(", "(?=a)b", r"(a)\1", "a*", "", "x" * 501, "(?:a{1000}){1000}"]
)
def test_a_pattern_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        compile_pattern("mine", text)
    assert caught.value.code == "pattern_invalid"


def test_what_takes_others_for_ever_takes_no_time_here() -> None:
    """Nested repetitions are exponential for engines that go back."""
    finder = Finder(MaskingRules(kinds=tuple(Kind), patterns={"slow": r"(?:a+)+$|(?:a|aa)+b"}))
    began = time.perf_counter()
    for text in ("a" * 50_000 + "!", "1 " * 25_000, "A1" * 25_000, "x@" * 25_000, "+1" * 25_000):
        finder.find(text)
    assert time.perf_counter() - began < 5


def test_what_is_found_too_often_is_masked_to_the_end() -> None:
    rules = MaskingRules(patterns={"mine": "a.*b|a"})
    began = time.perf_counter()
    (*_, last) = Finder(rules).find("a" * 100_000)
    assert (last.start, last.end) == (999, 100_000)
    assert time.perf_counter() - began < 5


@given(st.text(max_size=200))
def test_whatever_is_found_lies_in_the_text_and_does_not_overlap(text: str) -> None:
    at = 0
    for one in Finder(EVERY).find(text):
        assert at <= one.start < one.end <= len(text)
        at = one.end


def test_without_the_engine_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "re2", None)
    with pytest.raises(UsageError, match="RE2") as caught:
        Finder(EVERY)
    assert "ringfence[masking]" in caught.value.help
