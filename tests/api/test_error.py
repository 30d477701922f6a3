import logging

import pytest
from tests.api.plane import Plane

from ringfence.api.error import STATUSES, respond_to_unexpected, status_of
from ringfence.domain.error import PeerError, UnavailableError, UsageError


def test_every_error_has_one_form(plane: Plane) -> None:
    answer = plane.ask("GET", "agents/nobody")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "error": {
            "code": "agent_unknown",
            "message": "no agent named `nobody`",
            "help": "`ringfence agent list` shows them",
        }
    }


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "nowhere", 404, "not_found"),
        ("PUT", "agents", 405, "method_not_allowed"),
    ],
)
def test_the_routers_own_refusals_have_it_too(
    plane: Plane, method: str, target: str, status: int, code: str
) -> None:
    answer = plane.ask(method, target)
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize(
    "target",
    [
        "agents?limit=0",
        "agents?limit=1001",
        "agents?limit=many",
        "agents?colour=red",
        "agents?limit=1&limit=2",
    ],
)
def test_a_wrong_query_is_refused(plane: Plane, target: str) -> None:
    answer = plane.ask("GET", target)
    assert (answer.status, answer.code) == (400, "query_invalid")


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"label": 1}', b"[]", b'{"label": "\xff"}', b'{"label": "\\ud800"}', b"\x00"],
)
def test_a_wrong_body_is_refused(plane: Plane, body: bytes) -> None:
    answer = plane.ask("POST", "agents/triage/tokens", body=body)
    assert (answer.status, answer.code) == (400, "body_invalid")


def test_a_body_over_its_limit_or_of_another_type_is_refused(plane: Plane) -> None:
    big = plane.ask("POST", "agents/triage/tokens", body=b" " * 65_537)
    assert (big.status, big.code) == (413, "body_too_large")
    typed = [("content-type", "text/plain")]
    answer = plane.ask("POST", "agents/triage/tokens", body=b"{}", headers=typed)
    assert (answer.status, answer.code) == (415, "content_type")


def test_families_have_their_statuses() -> None:
    assert status_of(UsageError("anything", "x")) == 400
    assert status_of(UnavailableError("anything", "x")) == 503
    assert status_of(PeerError("anything", "x")) == 502
    assert all(400 <= status < 600 for status in STATUSES.values())


def test_an_unexpected_fault_shows_and_logs_no_text_of_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        response = respond_to_unexpected(RuntimeError("rf_agt_secret"))
    assert response.status_code == 500
    assert b"rf_agt_secret" not in bytes(response.body)
    assert "RuntimeError" in caplog.text
    assert "rf_agt_secret" not in caplog.text


def test_a_handler_that_breaks_is_answered_in_the_same_form(plane: Plane) -> None:
    del plane.configuration
    answer = plane.ask("GET", "status")
    assert (answer.status, answer.code) == (500, "internal")
