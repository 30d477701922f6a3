import pytest
from tests.enforcement.test_live import live
from tests.enforcement.test_sandbox_registry import order

from ringfence.domain.agent import SandboxTier
from ringfence.domain.sandbox import Sandbox, SandboxGrant
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.sandbox import ANNOUNCED_MOST, LiveSandbox


def box(tier: SandboxTier) -> LiveSandbox:
    invocation = live()
    sandbox = Sandbox(
        id="sbx_1",
        organisation="org_acme",
        agent="agt_triage",
        invocation=invocation.id,
        tier=tier,
        started_us=0,
        monitor_pid=0,
        workspace="/srv/work",
        ca_fingerprint="",
        policy="",
    )
    caller = Caller(runtime=invocation.runtime, credential="sbx_1", invocation=invocation.id)
    return LiveSandbox(sandbox, order(tier=tier), caller, invocation)


def test_a_reduced_sandbox_owns_only_the_connections_that_were_announced() -> None:
    reduced = box(SandboxTier.REDUCED)
    assert not reduced.owns(4711)
    reduced.announce(4711)
    assert not reduced.owns(4712)
    assert reduced.owns(4711)
    assert not reduced.owns(4711), "later the port may be another's"


def test_announcements_that_nobody_follows_do_not_add_up() -> None:
    reduced = box(SandboxTier.REDUCED)
    for port in range(2000, 2000 + ANNOUNCED_MOST + 1):
        reduced.announce(port)
    assert len(reduced.announced) == ANNOUNCED_MOST
    assert not reduced.owns(2000)


@pytest.mark.parametrize("tier", [SandboxTier.STRICT, SandboxTier.NONE])
def test_where_nobody_announces_every_connection_is_its_own(tier: SandboxTier) -> None:
    assert box(tier).owns(4711)


def test_a_grant_never_shows_its_secrets() -> None:
    grant = SandboxGrant(
        id="sbx_1",
        ticket="rf_tkt_canary",
        socket="/run/s",
        invocation="inv_1",
        token="rf_inv_canary",
        tier=SandboxTier.STRICT,
    )
    assert "canary" not in repr(grant)
