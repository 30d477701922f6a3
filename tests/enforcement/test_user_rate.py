from dataclasses import replace

from tests.gateways.world import agent, organisation

from ringfence.domain.caller import CallerTier
from ringfence.domain.organisation import User
from ringfence.domain.user import Principal
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.runtime import AgentRuntime
from ringfence.enforcement.user_rate import UserRates

MINUTE_US = 60_000_000


def caller(name: str | None, calls_per_minute: int | None = 2, of: str = "triage") -> Caller:
    user = User(name=name or "", id=f"user_{name}", calls_per_minute=calls_per_minute)
    plain = organisation()
    config = replace(plain, users={user.name: user})
    principal = None if name is None else Principal(id=user.id, name=user.name)
    origin = AgentRuntime(config, agent(of))
    runtime = origin.used_by((CallerTier.API,), principal)
    return Caller(runtime=runtime, credential="crd_1")


def test_a_user_is_counted_over_all_agents_and_apart_from_others() -> None:
    rates = UserRates()
    assert rates.take(caller("ann"), 0) is None
    assert rates.take(caller("ann", of="spy"), 1) is None
    late = rates.take(caller("ann"), 2)
    assert late is not None
    assert (late.retry_after_s, "ann" in late.reason.message) == (59.999998, True)
    assert rates.take(caller("bob"), 2) is None
    assert rates.take(caller("ann"), MINUTE_US) is None


def test_nobody_and_somebody_without_a_rate_are_not_counted() -> None:
    rates = UserRates()
    for who in (caller(None), caller("ann", None)):
        assert all(rates.take(who, 0) is None for _ in range(10))


def test_who_has_not_called_for_a_minute_is_forgotten_without_losing_a_count() -> None:
    rates = UserRates()
    for _ in range(2):
        assert rates.take(caller("ann"), 0) is None
    rates.tidy(MINUTE_US - 1)
    assert rates.take(caller("ann"), MINUTE_US - 1) is not None
    rates.tidy(MINUTE_US)
    assert rates.take(caller("ann"), MINUTE_US) is None
