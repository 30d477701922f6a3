from dataclasses import replace

from tests.api.plane import Plane, organisation

from ringfence.domain.organisation import Role


def test_reload_takes_a_new_epoch(plane: Plane) -> None:
    plane.reloading = (replace(organisation(), agents={}),)
    answer = plane.ask("POST", "reload", key=plane.key(Role.ADMIN))
    assert answer.json() == {"epoch": 2, "configuration": plane.configuration.digest}


def test_a_wrong_file_changes_nothing_and_says_why(plane: Plane) -> None:
    plane.reloading = None
    answer = plane.ask("POST", "reload")
    assert (answer.status, answer.code) == (400, "configuration_invalid")
    assert "ringfence.yaml:3" in answer.json()["error"]["message"]
    assert plane.ask("GET", "status").json()["epoch"] == 1
