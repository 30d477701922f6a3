import pytest

from ringfence.decisions.policy import engine
from ringfence.decisions.policy.schema import ARGUMENTS_OF, METHODS, schema
from ringfence.decisions.policy.shape import EMPTY, Kind, Member, Shape
from ringfence.domain.action import ActionKind


def _is_valid(condition: str, action: ActionKind = ActionKind.TOOL_CALL) -> bool:
    amount = Member(shape=Shape(kind=Kind.NUMBER), is_required=True)
    shape = Shape(kind=Kind.RECORD, members={"amount": amount})
    head = f'principal, action == Action::"{action}", resource'
    return not engine.validate([f"forbid ({head}) when {{ {condition} }};"], schema(shape))


@pytest.mark.parametrize(
    "condition",
    [
        'context.arguments.amount.greaterThan(decimal("1.0"))',
        'context.tier == "read" && context.caller == "api"',
        'context.chain.contains("root") && context.depth > 2',
        'context has user && context.user like "*@acme.example"',
        'context.seen.contains("untrusted")',
        'context.time.hour < 7 || context.time.weekday == "sunday"',
        'context.time.now > datetime("2026-12-24") && context.time.date == "2026-12-24"',
        'principal.category == "open" && principal in Team::"support"',
        'resource.name like "delete_*" && resource.server == "crm"',
        'resource.labels.contains("pii") && resource in Pattern::"crm__*"',
    ],
)
def test_every_fact_can_be_read(condition: str) -> None:
    assert _is_valid(condition)


@pytest.mark.parametrize(
    "condition",
    [
        "context.arguments.amount > 1",
        "context.arguments.amnt > 1",
        "context.user == context.user",
        'context.seen == "untrusted"',
        "resource.is_private",
    ],
)
def test_what_no_call_has_cannot_be_read(condition: str) -> None:
    assert not _is_valid(condition)


def test_every_action_has_arguments_of_its_own() -> None:
    assert ARGUMENTS_OF.keys() == set(ActionKind)
    assert _is_valid('context.arguments.hosted_tools.contains("x")', ActionKind.MODEL_CALL)
    assert _is_valid("resource.is_private", ActionKind.HTTP_REQUEST)
    assert not _is_valid('context.arguments.path like "/a*"', ActionKind.HTTP_REQUEST)


@pytest.mark.parametrize("shape", [EMPTY, *METHODS.values()])
def test_a_schema_is_one_that_cedar_takes(shape: Shape) -> None:
    assert not engine.validate(["permit (principal, action, resource);"], schema(shape))
