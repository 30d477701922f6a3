import pytest
from tests.app.test_slot import Nobody

from ringfence.app.remote_worker import RemoteWorker
from ringfence.app.sandbox_place import SandboxPlaces
from ringfence.domain.agent import SandboxTier
from ringfence.domain.error import UnavailableError
from ringfence.domain.sandbox import SandboxGrant
from ringfence.testing.clock import ManualClock


def worker(number: int, *, is_serving: bool = True) -> RemoteWorker:
    made = RemoteWorker(number, ManualClock(), Nobody())
    made.is_serving = is_serving
    return made


def grant(name: str) -> SandboxGrant:
    return SandboxGrant(
        id=f"sbx_{name}",
        ticket="rf_tkt_1",
        socket="/run/1.sock",
        invocation=f"inv_{name}",
        token="rf_inv_1",
        tier=SandboxTier.STRICT,
    )


def test_a_sandbox_goes_to_the_worker_that_serves_the_fewest() -> None:
    places, one, two = SandboxPlaces(), worker(1), worker(2)
    for name in "abcd":
        places.put(grant(name), places.emptiest([one, two]), lambda _: True)
    served = [places.server_of(f"sbx_{name}") for name in "abcd"]
    assert served == [one, two, one, two]


def test_of_two_that_come_at_once_each_worker_gets_one() -> None:
    places, one, two = SandboxPlaces(), worker(1), worker(2)
    with places.coming(places.emptiest([one, two])):
        assert places.emptiest([one, two]) is two
    assert places.emptiest([one, two]) is one


def test_one_that_does_not_serve_gets_none() -> None:
    places, starting, serving = SandboxPlaces(), worker(1, is_serving=False), worker(2)
    assert places.emptiest([starting, serving]) is serving
    with pytest.raises(UnavailableError) as none:
        places.emptiest([starting])
    assert none.value.code == "worker_starting"


def test_those_whose_invocation_is_over_do_not_count() -> None:
    places, one, two = SandboxPlaces(), worker(1), worker(2)
    places.put(grant("a"), one, lambda _: True)
    places.put(grant("b"), two, lambda run: run != "inv_a")
    assert places.server_of("sbx_a") is None
    assert places.emptiest([one, two]) is one


def test_with_a_worker_its_sandboxes_are_lost_and_no_others() -> None:
    places, one, two = SandboxPlaces(), worker(1), worker(2)
    places.put(grant("a"), one, lambda _: True)
    places.put(grant("b"), two, lambda _: True)
    assert places.lost(one) == {"sbx_a"}
    assert places.lost(one) == set()
    assert places.server_of("sbx_a") is None
    assert places.server_of("sbx_b") is two
