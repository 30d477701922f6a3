from dataclasses import replace
from pathlib import Path

import pytest
from tests.api.plane import NETWORK, Plane

from ringfence.api.application import create_app


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_asks_nobody_for_a_credential(plane: Plane, path: str) -> None:
    probe = plane.ask("GET", path, listener=NETWORK, headers=[("host", "10.0.0.5:8485")])
    assert (probe.status, probe.json()) == (200, {"status": "ok"})


def test_a_plane_whose_store_does_not_answer_is_alive_but_not_ready(
    plane: Plane, tmp_path: Path
) -> None:
    plane.state.close()
    (tmp_path / "data" / "state.db").write_bytes(b"no database" * 100)
    assert plane.ask("GET", "/healthz").status == 200
    probe = plane.ask("GET", "/readyz")
    assert probe.status == 503
    assert probe.json() == {"status": "unavailable", "why": "the state store does not answer"}


def test_a_plane_that_is_shutting_down_is_not_ready(plane: Plane) -> None:
    plane.app = create_app(replace(plane.context, readiness=lambda: "shutting down"))
    probe = plane.ask("GET", "/readyz")
    assert probe.status == 503
    assert probe.json() == {"status": "unavailable", "why": "shutting down"}
    assert plane.ask("GET", "/healthz").status == 200
