import pytest
from tests.decisions.policy.asking import REFUND, organisation, rules, tools

from ringfence.decisions.policy.shape import shape_of
from ringfence.decisions.policy.source import read_source
from ringfence.decisions.policy.validation import Validation, problem_with, validate
from ringfence.domain.tool import ToolServer

_CRM = organisation(tools={"crm": ToolServer(name="crm"), "files": ToolServer(name="files")})
_TOOLS = tools(crm__refund=REFUND, crm__get={}, files__read={})
_ON = 'forbid (principal, action == Action::"tool.call", resource {}) when {{ {} }};'


def _validate(head: str, condition: str, known: bool = True) -> Validation:  # noqa: FBT001, FBT002 (one fact)
    source = read_source({"a.cedar": _ON.format(head, condition)})
    assert source.faults == ()
    return validate(source.rules, _CRM, _TOOLS if known else {})


_HAS = "context.arguments has amount && context.arguments.amount"


@pytest.mark.parametrize(
    ("head", "condition"),
    [
        ('== Tool::"crm__refund"', f'{_HAS}.greaterThan(decimal("1.0"))'),
        ('in Server::"crm"', f'{_HAS}.greaterThan(decimal("1.0"))'),
        ("", f'{_HAS}.greaterThan(decimal("1.0"))'),
        ('in Pattern::"*__re*"', f'{_HAS}.greaterThan(decimal("1.0"))'),
        ('== Tool::"crm__resources/read"', "context.arguments has uri"),
        ('== Tool::"ringfence__ask_user"', "true"),
    ],
)
def test_what_fits_the_tools_passes(head: str, condition: str) -> None:
    if "uri" in condition:
        assert _validate(head, condition).unchecked == ("a.cedar#1",)
    else:
        assert _validate(head, condition) == Validation()


@pytest.mark.parametrize(
    ("head", "condition", "said", "help_"),
    [
        (
            '== Tool::"crm__refund"',
            'context.arguments.amount.greaterThan(decimal("1.0"))',
            "optional attribute `arguments.amount`",
            "ask first whether it is there",
        ),
        ('== Tool::"crm__refund"', f"{_HAS} > 1", "expected Long but saw decimal", "decimal("),
        (
            '== Tool::"crm__refund"',
            'context.arguments has amnt && context.arguments.amnt == "1"',
            "no tool that this is about takes an argument `amnt`",
            "did you mean `amount`?",
        ),
        ('in Server::"files"', f'{_HAS}.greaterThan(decimal("1.0"))', "takes an argument", ""),
        ('== Tool::"crm__refnud"', "true", "unknown tool `crm__refnud`", "`crm__refund`"),
        ('== Tool::"mail__send"', "true", "unknown server `mail`", ""),
        ('== Tool::"refund"', "true", "not the name of a tool", "server__tool"),
        ('in Server::"crn"', "true", "unknown server `crn`", "`crm`"),
        ('== Model::"small"', "true", "applicable action", "never has this kind of resource"),
        ("", 'principal in Team::"suport"', "unknown team `suport`", "`support`"),
        ("", 'context.tier == "reed"', "`context.tier` is never `reed`", "`read`"),
    ],
)
def test_a_policy_that_does_not_say_what_it_seems_to_is_a_fault(
    head: str, condition: str, said: str, help_: str
) -> None:
    faults = _validate(head, condition).faults
    assert said in faults[0].what
    assert help_ in faults[0].help
    assert {(fault.file, fault.line) for fault in faults} == {("a.cedar", 1)}


def test_nobody_can_be_asked_about_a_model_call() -> None:
    text = '@ask("why") forbid (principal, action, resource);'
    (fault,) = validate(read_source({"a.cedar": text}).rules, _CRM, {}).faults
    assert "cannot wait for a person" in fault.what
    only_tools = text.replace("resource)", 'resource in Server::"crm")')
    assert validate(read_source({"a.cedar": only_tools}).rules, _CRM, {}) == Validation()


def test_what_cannot_be_checked_yet_is_told() -> None:
    judged = _validate('== Tool::"crm__refund"', f"{_HAS} > 1", known=False)
    assert judged == Validation(unchecked=("a.cedar#1",))


def test_a_fault_stands_on_its_own_line_once_for_each_policy() -> None:
    text = "\n\n" + _ON.format("", "true") + "\n" + _ON.format("", "\ncontext.tier == 3")
    faults = validate(read_source({"a.cedar": text}).rules, _CRM, _TOOLS).faults
    assert [fault.line for fault in faults] == [4]


def test_one_tool_can_be_what_a_policy_cannot_judge() -> None:
    (rule,) = rules(_ON.format("", f"{_HAS} > 1"))
    whole = b'{"properties": {"amount": {"type": "integer"}}}'
    assert problem_with([rule], shape_of(whole)) == ""
    assert "file.cedar:1" in problem_with([rule], shape_of(whole.replace(b"integer", b"number")))


def test_an_argument_of_no_single_type_is_said_to_be_one() -> None:
    known = tools(crm__refund={"properties": {"id": {"type": ["string", "integer"]}}})
    text = _ON.format(
        '== Tool::"crm__refund"', 'context.arguments has id && context.arguments.id == "a"'
    )
    faults = validate(read_source({"a.cedar": text}).rules, _CRM, known).faults
    assert "argument `id` of `crm__refund` has no single type" in faults[0].what
