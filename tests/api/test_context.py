import asyncio
import threading

from tests.api.plane import Plane

from ringfence.api.context import RefusedAgents

MINUTE_US = 60_000_000


def test_attempts_are_counted_until_a_minute_has_passed() -> None:
    refused = RefusedAgents()
    times = [0, 1, 2, MINUTE_US - 1, MINUTE_US, MINUTE_US + 1]
    assert [refused.count("crd_1", time) for time in times] == [1, None, None, None, 4, None]


def test_each_credential_is_counted_for_itself() -> None:
    refused = RefusedAgents()
    assert refused.count("crd_1", 0) == 1
    assert refused.count("crd_2", 0) == 1


def test_readings_of_the_record_run_two_at_a_time(plane: Plane) -> None:
    running, most = 0, 0
    lock, both = threading.Lock(), threading.Barrier(2)

    def read() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait(60)
        with lock:
            running -= 1

    async def main() -> None:
        await asyncio.gather(*(plane.context.scan("org_1", read) for _ in range(6)))

    asyncio.run(main())
    assert most == 2
