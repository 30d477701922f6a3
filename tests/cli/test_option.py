import click
import pytest
from tests.cli.installation import Installation, call

from ringfence.cli.agent import show
from ringfence.cli.option import complete_agent, segment


def completed(installed: Installation, incomplete: str) -> list[str]:
    context = click.Context(show)
    context.params = {"data": str(installed.data), "config": None, "organisation": None}
    found = complete_agent(context, show.params[0], incomplete)
    return [item.value for item in found]


def test_names_of_agents_complete_from_a_running_plane(plane: Installation) -> None:
    assert completed(plane, "") == ["poor", "triage"]
    assert completed(plane, "tr") == ["triage"]


def test_nothing_completes_without_a_plane(stopped: Installation) -> None:
    assert completed(stopped, "") == []


def test_a_name_cannot_leave_its_place_in_the_path() -> None:
    assert segment("../keys?x=1") == "..%2Fkeys%3Fx%3D1"


def test_the_environment_names_the_installation(
    plane: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGFENCE_DATA", str(plane.data))
    assert call("status").code == 0


def test_an_organisation_that_is_not_there_is_wrong_use(plane: Installation) -> None:
    result = plane.call("agent", "list", "--organisation", "elsewhere")
    said = "ringfence: no organisation named `elsewhere`\n  yours: acme\n"
    assert (result.code, result.err) == (2, said)
