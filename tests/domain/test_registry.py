import msgspec
import pytest

from ringfence.domain.registry import Declare, End, Ended, Heard, Opened, Refusal, Resolve, Resolved
from ringfence.domain.verdict import Ask, Code, Deny, Reason, Refused, Stop, Throttle

WHY = Reason(code=Code.LIMIT_REACHED, message="Enough.", facts=(("limit", "depth"),))


@pytest.mark.parametrize(
    "verdict",
    [Deny(reason=WHY), Ask(reason=WHY), Stop(reason=WHY), Throttle(reason=WHY, retry_after_s=2.5)],
)
def test_every_refusal_arrives_as_it_was_sent(verdict: Refused) -> None:
    sent = Resolved(refusal=Refusal.of(verdict, "inv_1"))
    arrived = msgspec.msgpack.decode(
        msgspec.msgpack.encode(sent),
        type=Resolve | Declare | Resolved | End | Heard | Opened | Ended,
    )
    assert isinstance(arrived, Resolved)
    assert arrived.refusal is not None
    assert (arrived.refusal.refused(), arrived.refusal.invocation) == (verdict, "inv_1")
