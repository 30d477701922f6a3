from ringfence.analysis.tool_lint.finding import Severity


def test_an_error_is_worse_than_a_warning_and_that_worse_than_a_note() -> None:
    assert Severity.ERROR > Severity.WARNING > Severity.NOTE
