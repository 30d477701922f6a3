from pathlib import Path

from tests.api.plane import Plane, organisation

from ringfence.domain.model import UpstreamKind, UpstreamStanding

OPEN = UpstreamStanding(
    kind=UpstreamKind.MODEL, name="small", state="open", failures=5, retry_s=2.5, cause="status 503"
)
PACED = UpstreamStanding(kind=UpstreamKind.PROVIDER, name="house", going=8, waiting=3)


def test_each_upstream_shows_its_breaker_and_its_queue(plane: Plane) -> None:
    plane.workers.standings[plane.acme.id] = [PACED, OPEN]
    answer = plane.ask("GET", "upstreams").json()
    assert [(each["kind"], each["name"]) for each in answer] == [
        ("model", "small"),
        ("provider", "house"),
    ]
    assert (answer[0]["state"], answer[0]["cause"]) == ("open", "status 503")
    assert (answer[1]["going"], answer[1]["waiting"]) == (8, 3)


def test_nothing_of_another_organisation_is_shown(tmp_path: Path) -> None:
    plane = Plane(tmp_path, organisation("acme"), organisation("other"))
    plane.workers.standings["org_elsewhere"] = [OPEN]
    answer = plane.ask("GET", "upstreams?organisation=other")
    assert answer.json() == []
