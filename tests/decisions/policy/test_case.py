from tests.decisions.policy.asking import policies, question

from ringfence.decisions.policy.case import Case, Trial, try_cases
from ringfence.domain.policy import PolicyVerdict, Question, ToolFacts

_TEXT = (
    '@id("large") @ask("large") forbid (principal, action, resource == Tool::"crm__refund")'
    " when { context.arguments has amount &&"
    ' context.arguments.amount.greaterThan(decimal("1.0")) };'
    '@id("never") forbid (principal, action, resource == Tool::"crm__erase");'
)


def _case(
    expected: PolicyVerdict,
    asked: Question,
    by: tuple[str, ...] = (),
    tool: ToolFacts | None = None,
) -> Case:
    return Case(
        file="a.test.yaml",
        line=3,
        name="case",
        question=asked,
        expected=expected,
        by=by,
        tool=tool,
    )


def _try(*cases: Case) -> Trial:
    return try_cases(policies(_TEXT), cases)


_LARGE = question(arguments='{"amount": 2}')


def test_a_case_that_comes_out_as_expected_is_not_wrong() -> None:
    trial = _try(
        _case(PolicyVerdict.ALLOW, question()),
        _case(PolicyVerdict.ASK, _LARGE, by=("large",)),
    )
    assert trial.failed == []
    assert trial.untested == ["never"]


def test_another_verdict_is_wrong() -> None:
    trial = _try(_case(PolicyVerdict.DENY, _LARGE))
    assert [each.wrong for each in trial.failed] == ["expected deny, got ask"]


def test_the_right_verdict_for_another_reason_is_wrong() -> None:
    trial = _try(_case(PolicyVerdict.ASK, _LARGE, by=("night",)))
    assert [each.wrong for each in trial.failed] == [
        "`night` is not among the policies that decided"
    ]


def test_a_file_may_say_what_a_tool_looks_like() -> None:
    tool = ToolFacts(input_schema=b'{"properties": {"amount": {"type": "string"}}}')
    (tried,) = _try(_case(PolicyVerdict.DENY, _LARGE, tool=tool)).tried
    assert tried.wrong == ""
    assert tried.decision.problem
