"""Guards over every test: no connection leaves this machine, and properties have two depths.

`HYPOTHESIS_PROFILE=deep` looks longer; the default is quick and the same for everybody.
"""

import ipaddress
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings
from tests.postgresql import server

from ringfence.transport.clock import SystemClock

_SLOW = [HealthCheck.too_slow]
settings.register_profile("fast", max_examples=50, deadline=None, suppress_health_check=_SLOW)
settings.register_profile("deep", max_examples=5000, deadline=None, suppress_health_check=_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

_CONNECTING = frozenset({"socket.connect", "socket.sendto"})
_RESOLVING = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})
_LOCAL_NAMES = frozenset({"localhost", ""})
_left: list[str] = []


def is_local(host: object) -> bool:
    """Whether a host lies on this machine; anything that is not a host (a Unix path) does."""
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if not isinstance(name, str):
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return name in _LOCAL_NAMES


def _is_address(host: object) -> bool:
    """Whether nothing need be asked to resolve it."""
    try:
        ipaddress.ip_address(host if isinstance(host, str) else "")
    except ValueError:
        return False
    return True


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse what would leave; asyncio and the standard library pass here (PEP 578)."""
    if event in _CONNECTING:
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event in _RESOLVING:
        host = None if _is_address(arguments[0]) else arguments[0]
    else:
        return
    if not is_local(host):
        _left.append(f"{event} {host!r}")
        raise ConnectionRefusedError(f"a test must not leave this machine: {event} {host!r}")


sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def _stays_here() -> Iterator[None]:
    """Fail a test that tried to leave, also where the error itself was caught."""
    _left.clear()
    yield
    tried, _left[:] = list(_left), []
    assert not tried, tried


@pytest.fixture(scope="session", autouse=True)
def _signals_as_in_a_shell() -> None:
    """Under nohup, or behind a script, some are ignored, which every program would inherit."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            is_interrupt = number is signal.SIGINT
            signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)


@pytest.fixture
def pass_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets the clocks of this process's planes go on by so many seconds at once."""
    ahead_us = 0
    now_us, monotonic_us = SystemClock.now_us, SystemClock.monotonic_us

    def go_on(seconds: float) -> None:
        nonlocal ahead_us
        ahead_us += int(seconds * 1e6)

    monkeypatch.setattr(SystemClock, "now_us", lambda clock: now_us(clock) + ahead_us)
    monkeypatch.setattr(SystemClock, "monotonic_us", lambda clock: monotonic_us(clock) + ahead_us)
    return go_on


@pytest.fixture
def patient_lending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the planes of this process wait for who has something idle, on whatever machine."""
    monkeypatch.setattr("ringfence.enforcement.lending.RECALL_S", 30.0)
    for name in ("RECALL_S", "AFAR_S", "_TAKE_S"):
        monkeypatch.setattr(f"ringfence.enforcement.shared_lending.{name}", 30.0)


@pytest.fixture
def attempts_to_leave() -> list[str]:
    """What the guard has stopped in this test; for the guard's own test."""
    return _left


_DEMANDED = "RINGFENCE_TEST_POSTGRESQL"
_number = itertools.count()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested."""
    reason = server.missing()
    if reason:
        terminalreporter.write_sep("!", f"NOT tested with PostgreSQL: {reason}", yellow=True)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a database that all tests of this process share; they skip if there can be none.

    Processes that test side by side share nothing: some tests end every connection to theirs.
    """
    reason = server.missing()
    if reason and os.environ.get(_DEMANDED):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    given = os.environ.get("DATABASE_URL")
    if given:
        with server.database(given, f"test_{os.getpid()}") as url:
            yield url
        return
    with server.serving() as running:
        yield running.url


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """The URL of an empty schema that is this test's alone."""
    name = f"test_{os.getpid()}_{next(_number)}"
    with server.schema(postgresql_server, name) as url:
        yield url
