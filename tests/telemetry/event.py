"""Events as far as metrics look at them."""

from tests.events import heading

from ringfence.domain.event import Decision, Intent, Outcome, Status
from ringfence.domain.usage import Usage


def intent(model: str, organisation: str = "org_1") -> Intent:
    return Intent(
        **heading(organisation, 1),
        action="act_1",
        action_kind="model.call",
        resource=model,
        operation="chat",
        invocation="inv_1",
        root="inv_1",
        grouping="time",
        step=1,
        decision=Decision(verdict="allow"),
        reserved_nano="50",
    )


def outcome(
    *,
    cost: int = 30,
    tokens: tuple[int, int] | None = (1, 1),
    duration_us: int = 900,
    first_byte_us: int = 300,
) -> Outcome:
    return Outcome(
        **heading("org_1", 2),
        action="act_1",
        invocation="inv_1",
        root="inv_1",
        status=Status.OK,
        usage=None if tokens is None else Usage(input_tokens=tokens[0], output_tokens=tokens[1]),
        cost_nano=str(cost),
        reserved_nano="50",
        duration_us=duration_us,
        first_byte_us=first_byte_us,
    )
