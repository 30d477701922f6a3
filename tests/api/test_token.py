import hashlib
from pathlib import Path

import pytest
from tests.api.plane import Plane

from ringfence.domain.organisation import Role


def everything_on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def test_a_token_is_shown_once_and_only_its_hash_is_kept(plane: Plane, tmp_path: Path) -> None:
    answer = plane.ask("POST", "agents/triage/tokens", body={"label": "ci"})
    issued = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    token = issued["token"]
    assert token.startswith("rf_agt_")
    digest = hashlib.sha256(token.encode()).digest()
    disk = everything_on_disk(tmp_path)
    assert digest in disk
    assert token.removeprefix("rf_agt_").encode() not in disk
    for listing in ("agents/triage", "agents/triage/tokens"):
        assert token.removeprefix("rf_agt_").encode() not in plane.ask("GET", listing).body
    assert token not in repr(plane.notes) + repr(plane.workers.told)


def test_a_token_works_on_every_worker_when_it_is_returned(plane: Plane) -> None:
    issued = plane.ask("POST", "agents/triage/tokens", key=plane.key(Role.BUILDER)).json()
    stored = plane.state.tokens.find(hashlib.sha256(issued["token"].encode()).digest())
    assert stored is not None
    assert (stored.id, stored.agent) == (issued["id"], plane.acme.agents["triage"].id)
    assert plane.workers.told == [("credentials", (stored,))]
    (note,) = plane.notes
    assert (note.what, note.subject) == ("token.issued", issued["id"])


def test_no_token_is_made_that_cannot_be_recorded(plane: Plane) -> None:
    plane.is_recording = False
    assert plane.ask("POST", "agents/triage/tokens").status == 503
    assert plane.state.tokens.all() == ()
    assert plane.workers.told == []


def test_a_revoked_token_is_dead_on_every_worker_even_if_it_cannot_be_recorded(
    plane: Plane,
) -> None:
    issued = plane.ask("POST", "agents/triage/tokens").json()
    plane.is_recording = False
    assert plane.ask("DELETE", f"agents/triage/tokens/{issued['id']}").status == 503
    (told,) = plane.workers.told[1:]
    assert told == ("credentials", plane.state.tokens.all())
    assert plane.state.tokens.all()[0].revoked_us == plane.clock.now_us()


def test_revoking_answers_with_nothing(plane: Plane) -> None:
    issued = plane.ask("POST", "agents/triage/tokens").json()
    answer = plane.ask("DELETE", f"agents/triage/tokens/{issued['id']}")
    assert (answer.status, answer.body) == (204, b"")
    (listed,) = plane.ask("GET", "agents/triage/tokens").json()["items"]
    assert listed["is_live"] is False
    assert [note.what for note in plane.notes] == ["token.issued", "token.revoked"]


def test_rotation_ends_the_old_token_after_its_grace(plane: Plane) -> None:
    old = plane.ask("POST", "agents/triage/tokens").json()
    plane.clock.advance(1_000_000)
    new = plane.ask(
        "POST", f"agents/triage/tokens/{old['id']}/rotate", body={"grace_s": 60, "label": "new"}
    ).json()
    assert new["token"] != old["token"]

    def live() -> list[bool]:
        listed = plane.ask("GET", "agents/triage/tokens").json()["items"]
        return [each["is_live"] for each in listed]

    assert live() == [True, True]
    plane.clock.advance(59_999_999)
    assert live() == [True, True]
    plane.clock.advance(1)
    assert live() == [False, True]
    told = plane.workers.told[-1]
    assert [each.id for each in told[1]] == [new["id"], old["id"]]  # type: ignore[attr-defined]


def test_rotation_without_grace_ends_the_old_token_at_once(plane: Plane) -> None:
    old = plane.ask("POST", "agents/triage/tokens").json()
    plane.ask("POST", f"agents/triage/tokens/{old['id']}/rotate")
    listed = plane.ask("GET", "agents/triage/tokens").json()["items"]
    assert [(each["is_live"], each["replaces"]) for each in listed] == [
        (False, None),
        (True, old["id"]),
    ]
    again = plane.ask("POST", f"agents/triage/tokens/{old['id']}/rotate")
    assert (again.status, again.code) == (409, "token_revoked")


@pytest.mark.parametrize("body", [{"grace_s": -1}, {"grace_s": 10**9}, {"label": "x" * 201}])
def test_an_impossible_rotation_is_refused(plane: Plane, body: dict[str, object]) -> None:
    old = plane.ask("POST", "agents/triage/tokens").json()
    answer = plane.ask("POST", f"agents/triage/tokens/{old['id']}/rotate", body=body)
    assert (answer.status, answer.code) == (400, "body_invalid")
    assert len(plane.state.tokens.all()) == 1


def test_a_retired_agent_gets_no_token(plane: Plane) -> None:
    plane.ask("POST", "agents/triage/retire")
    answer = plane.ask("POST", "agents/triage/tokens")
    assert (answer.status, answer.code) == (409, "agent_state")


def test_tokens_are_listed_by_pages(plane: Plane) -> None:
    made = [plane.ask("POST", "agents/triage/tokens").json()["id"] for _ in range(3)]
    first = plane.ask("GET", "agents/triage/tokens?limit=2").json()
    rest = plane.ask("GET", f"agents/triage/tokens?limit=2&after={first['next']}").json()
    assert [each["id"] for each in first["items"] + rest["items"]] == made
    assert rest["next"] is None
