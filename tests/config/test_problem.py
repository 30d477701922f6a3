import pytest

from ringfence.config.problem import (
    ConfigurationError,
    Place,
    Problem,
    Problems,
    nearest,
    shown,
)

FIRST = Problem(Place("a.yaml", 2, 5), "unknown key `modles`", "did you mean `models`?")
SECOND = Problem(Place("a.yaml", 12, 1), "has no `owner`")
OTHER_FILE = Problem(Place("b.yaml"), "is empty")


def test_an_error_carries_all_problems_in_file_order() -> None:
    error = ConfigurationError([OTHER_FILE, SECOND, FIRST, SECOND])
    assert error.problems == (FIRST, SECOND, OTHER_FILE)
    assert error.render() == (
        "a.yaml:2:5: unknown key `modles`\n"
        "  did you mean `models`?\n"
        "a.yaml:12:1: has no `owner`\n"
        "b.yaml: is empty"
    )


def test_its_message_is_one_line_and_counts_the_others() -> None:
    error = ConfigurationError([SECOND, FIRST, OTHER_FILE])
    assert error.message == "a.yaml:2:5: unknown key `modles` (and 2 more problems)"
    assert error.help == "did you mean `models`?"
    assert error.code == "configuration_invalid"
    assert ConfigurationError([FIRST, SECOND]).message.endswith("(and 1 more problem)")
    assert ConfigurationError([SECOND]).message == "a.yaml:12:1: has no `owner`"


def test_collecting_stops_when_there_are_too_many() -> None:
    problems = Problems()
    with pytest.raises(ConfigurationError) as raised:  # noqa: PT012 (the loop is what raises)
        for line in range(1, 10_000):
            problems.add(Place("a.yaml", line, 1), "wrong")
    assert len(raised.value.problems) == 200


@pytest.mark.parametrize(
    ("text", "help_"),
    [
        ("modles", "did you mean `models`?"),
        ("Models", "did you mean `models`?"),
        ("zzz", "known: `budget`, `models`"),
    ],
)
def test_the_nearest_word_helps(text: str, help_: str) -> None:
    assert nearest(text, ["models", "budget"]) == help_


def test_no_help_is_better_than_a_long_list() -> None:
    assert nearest("zzz", [f"word{i}" for i in range(13)]) == ""
    assert nearest("zzz", []) == ""


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijklmnop",
        "sk-ant-api03-AbCdEfGhIjKlMnOp",
        "rf_agt_9Y6nVq0hT3kz1LmN",
        "ghp_0123456789abcdefghij",
        "AKIAIOSFODNN7EXAMPLE",
        "AIzaSyA1234567890abcdef",
        "xoxb-123456789012-abcdef",
        "9f86d081884c7d659a2feaa0c55ad015",
        "dGhpcyBpcyBhIHNlY3JldCB2YWx1ZQ0=",
    ],
)
def test_what_is_shaped_like_a_secret_is_never_shown(secret: str) -> None:
    assert secret[6:] not in shown(f"x {secret} y")


@pytest.mark.parametrize(
    "text",
    ["claude-sonnet-4-5-20250929", "gpt-5.6-sol", "owner@acme.example", "task-manager-agent"],
)
def test_ordinary_names_are_shown(text: str) -> None:
    assert shown(text) == f"`{text}`"


def test_control_characters_and_endless_texts_are_not_shown() -> None:
    assert shown("a\x1b[31mb") == "`…`"
    assert shown("a " * 100) == f"`{'a ' * 40}…`"
