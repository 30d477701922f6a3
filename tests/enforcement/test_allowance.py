from tests.gateways.world import agent, organisation

from ringfence.domain.verdict import Code, Throttle
from ringfence.enforcement.allowance import Allowance, AllowanceLimits, Portion
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.runtime import AgentRuntime

RUNTIME = AgentRuntime(organisation(), agent())
LIMITS = AllowanceLimits(bytes_in_all=100, bytes_per_credential=60, calls_per_credential=2)


def enter(allowance: Allowance, credential: str = "crd_1") -> Portion:
    portion = allowance.enter(Caller(runtime=RUNTIME, credential=credential))
    assert isinstance(portion, Portion)
    return portion


def test_a_credential_has_only_so_many_calls_on_their_way() -> None:
    allowance = Allowance(LIMITS)
    first = enter(allowance)
    enter(allowance)
    third = allowance.enter(Caller(runtime=RUNTIME, credential="crd_1"))
    assert isinstance(third, Throttle)
    assert third.reason.code is Code.RATE_EXCEEDED
    assert third.retry_after_s > 0
    enter(allowance, "crd_2")
    first.leave()
    enter(allowance)


def test_bytes_are_bounded_for_each_credential_and_for_all() -> None:
    allowance = Allowance(LIMITS)
    first, second, other = enter(allowance), enter(allowance), enter(allowance, "crd_2")
    assert first.take(40) is None
    assert second.take(20) is None
    assert isinstance(second.take(1), Throttle), "over the credential's share"
    assert other.take(40) is None
    assert isinstance(other.take(1), Throttle), "over what the worker gives"
    first.leave()
    assert other.take(1) is None
    assert allowance.held_bytes == 61


def test_what_was_refused_is_not_held_and_all_is_given_back() -> None:
    allowance = Allowance(LIMITS)
    portion = enter(allowance)
    assert portion.take(61) is not None
    assert portion.take(60) is None
    portion.leave()
    assert allowance.held_bytes == 0
    assert enter(allowance).take(60) is None
