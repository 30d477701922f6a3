"""The tree of tests mirrors the tree of sources, both ways."""

import socket
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent
_SOURCE = _TESTS.parent / "src" / "ringfence"
_APART = frozenset({"attacks", "journeys", "conformance", "transcripts", "invariants"})

WITHOUT_TEST = {
    # Words only: data types without behaviour, proven where they are used.
    "app/approval_message": "words",
    "app/change_message": "words",
    "app/sandbox_message": "words",
    "app/surroundings": "words",
    "cli/doctor/finding": "words",
    "domain/action": "words",
    "domain/agent": "words",
    "domain/alert": "words",
    "domain/approval": "words",
    "domain/caller": "words",
    "domain/credential": "words",
    "domain/errand": "words",
    "domain/error": "words",
    "domain/event": "words",
    "domain/egress": "words",
    "domain/exchange": "words",
    "domain/invocation": "words",
    "domain/issuer": "words",
    "domain/lease": "words",
    "domain/model": "words",
    "domain/monitoring": "words",
    "domain/observation": "words",
    "domain/organisation": "words",
    "domain/pacing": "words",
    "domain/policy": "words",
    "domain/price": "words",
    "domain/secret": "words",
    "domain/tool": "words",
    "domain/topic": "words",
    "domain/tool_dialect": "words",
    "domain/tool_source": "words",
    "domain/tool_rule": "words",
    "domain/tool_view": "words",
    "domain/user": "words",
    "domain/verdict": "words",
    "stores/body/place": "protocols without behaviour",
    "stores/plane": "words and protocols without behaviour",
    "stores/postgresql/schema": "statements, proven where they are used",
    "sandbox/plane_message": "words",
    "protocols/dialect": "protocols without behaviour",
    "stores/ledger/backend": "a protocol and the value it takes, proven by each backend",
    "testing/tools/plan": "words",
    "gateways/model/ask": "words",
    "gateways/tool/channel": "protocols without behaviour",
    "transport/http": "protocols without behaviour",
    "transport/kernel/table": "figures, proven by those who look them up",
    "transport/limits": "figures",
}
"""Every other module has a test of its own name."""


def _modules() -> set[str]:
    found = (path.relative_to(_SOURCE).with_suffix("") for path in _SOURCE.rglob("*.py"))
    return {str(path) for path in found if not path.name.startswith("__")}


def _tests() -> set[str]:
    found = (path.relative_to(_TESTS) for path in _TESTS.rglob("test_*.py"))
    nested = [path for path in found if len(path.parts) > 1 and path.parts[0] not in _APART]
    return {str(path.parent / path.stem.removeprefix("test_")) for path in nested}


def test_every_module_has_a_test() -> None:
    assert _modules() - _tests() - WITHOUT_TEST.keys() == set()


def test_every_test_has_a_module() -> None:
    assert _tests() - _modules() == set()


def test_every_exception_is_still_one() -> None:
    assert WITHOUT_TEST.keys() - (_modules() - _tests()) == set()


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_a_connection_that_leaves_this_machine_fails(
    host: str, attempts_to_leave: list[str]
) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, 80), timeout=0.1)
    assert attempts_to_leave
    attempts_to_leave.clear()


def test_the_name_of_another_machine_is_not_looked_up(attempts_to_leave: list[str]) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.getaddrinfo("provider.example", 443)
    assert attempts_to_leave
    attempts_to_leave.clear()
