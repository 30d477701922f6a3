"""What is decided of one request is what is sent: property over everything a client can say."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.gateways.egress.outside import Outside, outside

from ringfence.domain.destination import Authority, Way
from ringfence.domain.verdict import Reason
from ringfence.gateways.egress.place import Arrival, Place
from ringfence.gateways.egress.request import read_request, shown
from ringfence.testing.http import MemoryRequest

HOSTS = st.sampled_from(
    [
        "a.test",
        "A.TEST",
        "b.test",
        "a.test:443",
        "a.test:80",
        "a.test.",
        "127.1",
        "[::1]",
        "x@a.test",
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(list(Way)),
    st.sampled_from(["http", "https"]),
    HOSTS,
    st.none() | HOSTS,
    st.sampled_from(["a.test", "b.test"]),
    st.sampled_from(["/", "/x", "/../x", "//x", "/%2e%2e/x"]),
)
def test_no_request_is_decided_for_a_host_that_it_does_not_name(  # noqa: PLR0913, PLR0917 (drawn)
    way: Way, scheme: str, host: str, absolute: str | None, tunnel: str, path: str
) -> None:
    place = PLACE[0]
    if way is Way.DNS:
        return
    arrival = Arrival(
        way=way,
        scheme=scheme,
        tunnel=Authority(tunnel, 443) if way is Way.CONNECT else None,
        server_name=Authority(tunnel) if way is Way.TLS else None,
    )
    target = f"http://{absolute}{path}" if absolute and way is Way.ABSOLUTE else path
    request = MemoryRequest("GET", target, headers=[(b"host", host.encode())])
    found = read_request(place, arrival, request)
    if isinstance(found, Reason):
        return
    named = "::1" if host == "[::1]" else host.lower().partition(":")[0]
    assert found.destination.host == named
    if way in {Way.CONNECT, Way.TLS}:
        assert named == tunnel
    if way is Way.ABSOLUTE:
        assert absolute is not None
        assert named == ("::1" if absolute == "[::1]" else absolute.lower().partition(":")[0])
    assert ".." not in found.path_text.split("/")


PLACE: list[Place] = []


def setup_module() -> None:
    """A place that is not served: only what is decided is looked at."""

    async def made(folder: Path) -> None:
        async with outside(folder) as found:
            PLACE.append(place_of(found))

    folder = Path("/tmp")  # noqa: S108 (a certificate of a test)
    asyncio.run(made(folder))


def place_of(found: Outside) -> Place:
    (serving,) = found.world.worker.egress.door._places.values()  # noqa: SLF001 (one sandbox)
    return serving._place  # noqa: SLF001 (what it is about)


@pytest.mark.parametrize(
    ("method", "target", "told"),
    [
        ("GET", "/a?b", "https://api.example.com/a"),
        ("GET", "https://other.example/a", "https://other.example/a"),
        ("CONNECT", "other.example:443", "other.example:443"),
        ("OPTIONS", "*", "*"),
    ],
)
def test_a_refused_request_is_told_with_one_host(method: str, target: str, told: str) -> None:
    arrival = Arrival(
        way=Way.CONNECT, scheme="https", tunnel=Authority(host="api.example.com", is_address=False)
    )
    request = MemoryRequest(method, target, headers=[(b"host", b"api.example.com")])
    assert shown(arrival, request) == ("api.example.com", told)
