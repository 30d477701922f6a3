from pathlib import Path

import pytest
from tests.api.plane import OWNER, Plane

from ringfence.domain.organisation import Role


def test_a_new_key_works_and_only_its_hash_is_kept(plane: Plane, tmp_path: Path) -> None:
    issued = plane.ask("POST", "keys", body={"user": OWNER, "roles": ["auditor"]}).json()
    assert issued["key"].startswith("rf_key_")
    assert plane.ask("GET", "agents", key=issued["key"]).status == 200
    assert plane.ask("GET", "keys", key=issued["key"]).code == "role_missing"
    disk = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert issued["key"].removeprefix("rf_key_").encode() not in disk
    assert issued["key"].encode() not in plane.ask("GET", "keys").body


def test_without_roles_a_key_carries_those_of_its_user(plane: Plane) -> None:
    assert plane.ask("POST", "keys", body={"user": "builder"}).json()["roles"] == ["builder"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"user": "nobody"}, "user_unknown"),
        ({"user": "builder", "roles": ["admin"]}, "key_roles"),
        ({"user": "builder", "roles": ["emperor"]}, "body_invalid"),
        ({"user": "builder", "role": "viewer"}, "body_invalid"),
        ({}, "body_invalid"),
    ],
)
def test_a_key_beyond_its_user_is_refused(plane: Plane, body: dict[str, object], code: str) -> None:
    answer = plane.ask("POST", "keys", body=body)
    assert (answer.status, answer.code) == (404 if code == "user_unknown" else 400, code)
    assert plane.state.keys.list(plane.acme.id) == ()


def test_a_revoked_key_is_dead(plane: Plane) -> None:
    issued = plane.ask("POST", "keys", body={"user": OWNER}).json()
    assert plane.ask("DELETE", f"keys/{issued['id']}").status == 204
    assert plane.ask("GET", "agents", key=issued["key"]).code == "credential_unknown"
    assert [note.what for note in plane.notes] == ["key.issued", "key.revoked"]
    (listed,) = plane.ask("GET", "keys").json()["items"]
    assert listed["revoked_us"] == str(plane.clock.now_us())
    assert listed["user"] == OWNER


def test_no_key_is_made_that_cannot_be_recorded(plane: Plane) -> None:
    plane.is_recording = False
    assert plane.ask("POST", "keys", body={"user": OWNER}).status == 503
    assert plane.state.keys.list(plane.acme.id) == ()


def test_keys_are_listed_by_pages(plane: Plane) -> None:
    for role in (Role.ADMIN, Role.VIEWER, Role.AUDITOR):
        plane.key(role)
    first = plane.ask("GET", "keys?limit=2").json()
    rest = plane.ask("GET", f"keys?limit=2&after={first['next']}").json()
    assert [len(first["items"]), len(rest["items"]), rest["next"]] == [2, 1, None]
