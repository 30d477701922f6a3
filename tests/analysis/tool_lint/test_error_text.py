import pytest

from ringfence.analysis.tool_lint.error_text import Told, is_trace, judge, says_nothing
from ringfence.analysis.tool_lint.finding import Severity


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Error",
        "Error: failed",
        "Internal server error (500)",
        "Something went wrong. Please try again later.",
        "[object Object]",
        "null",
        "MCP error -32603: undefined",
        "An unexpected error occurred while processing your request.",
        "Unknown error: code 0x80004005",
    ],
)
def test_an_error_that_only_says_that_it_is_one_says_nothing(text: str) -> None:
    assert says_nothing(text)


@pytest.mark.parametrize(
    "text",
    [
        "order 17 does not exist",
        "`date` must be YYYY-MM-DD",
        "permission denied: /etc/shadow",
        "rate limit reached, wait 30 seconds",
        "Datei nicht gefunden",
        "Ошибка: заказ не найден",
    ],
)
def test_an_error_that_names_anything_says_something(text: str) -> None:
    assert not says_nothing(text)


def test_tools_are_judged_by_most_of_their_errors() -> None:
    errors = [
        *(Told("crm__a", "Error: failed") for _ in range(3)),
        Told("crm__a", "order 17 does not exist"),
        *(Told("crm__b", "order 17 does not exist") for _ in range(3)),
        Told("crm__b", "failed"),
        Told("crm__c", 'Traceback (most recent call last):\n  File "x.py", line 1'),
    ]
    first, second = judge(errors)
    assert (first.rule, first.tool, first.severity) == (
        "error_says_nothing",
        "crm__a",
        Severity.WARNING,
    )
    assert first.what == "3 of its 4 errors on record say nothing, for example `Error: failed`"
    assert (second.rule, second.tool) == ("error_is_a_trace", "crm__c")
    assert "\n" not in second.what


def test_traces_of_several_languages_are_seen() -> None:
    assert is_trace("Error: x\n    at Object.call (/srv/index.js:3:1)")
    assert not is_trace("we met at noon (as agreed)")
