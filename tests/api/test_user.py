import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from tests.api.plane import OWNER, Plane, organisation

from ringfence.domain.credential import AgentCredential
from ringfence.domain.organisation import Role, User, UserDefaults

ANN = "ann@acme.example"


def with_ann(plane: Plane, ann: User | None = None, *, open_to_all: bool = False) -> None:
    plain = organisation()
    users = {**plain.users, ANN: ann or User(name=ANN, roles=frozenset({Role.VIEWER}))}
    defaults = UserDefaults() if open_to_all else None
    plane.load(replace(plain, users=users, default_user=defaults))


def told(plane: Plane) -> list[AgentCredential]:
    """The user tokens that workers heard of, in order."""
    found: list[AgentCredential] = []
    for what, given in plane.workers.told:
        if what == "credentials" and isinstance(given, tuple):
            found += given
    return found


def test_users_are_listed_with_what_agents_may_do_for_them(plane: Plane) -> None:
    with_ann(plane, User(name=ANN, models=frozenset({"small"}), tools=(), calls_per_minute=9))
    items = plane.ask("GET", "users").json()["items"]
    by_name = {each["name"]: each for each in items}
    assert list(by_name) == sorted(by_name)
    assert by_name[ANN] == {
        "id": plane.acme.users[ANN].id,
        "name": ANN,
        "roles": [],
        "models": ["small"],
        "tools": [],
        "calls_per_minute": 9,
    }
    assert by_name[OWNER]["models"] is None
    assert by_name[OWNER]["roles"] == sorted(Role)


def test_a_new_token_reaches_the_workers_and_only_its_hash_is_kept(
    plane: Plane, tmp_path: Path
) -> None:
    with_ann(plane)
    order = {"label": "laptop", "expires_s": 3600}
    issued = plane.ask("POST", f"users/{ANN}/tokens", body=order).json()
    assert issued["token"].startswith("rf_usr_")
    ends_us = plane.clock.now_us() + 3600 * 1_000_000
    assert (issued["user"], issued["ends_us"]) == (ANN, str(ends_us))
    [credential] = told(plane)
    assert credential.digest == hashlib.sha256(issued["token"].encode()).digest()
    assert (credential.user, credential.agent) == (plane.acme.users[ANN].id, "")
    assert credential.revoked_us == ends_us
    disk = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert issued["token"].removeprefix("rf_usr_").encode() not in disk
    [note] = plane.notes
    assert (note.what, note.subject) == ("user_token.issued", issued["id"])
    [listed] = plane.ask("GET", f"users/{ANN}/tokens").json()["items"]
    assert (listed["id"], listed["label"], listed["is_live"]) == (issued["id"], "laptop", True)
    plane.clock.advance(3600 * 1_000_000)
    [listed] = plane.ask("GET", f"users/{ANN}/tokens").json()["items"]
    assert not listed["is_live"]


def test_a_revoked_token_is_dead_for_the_workers_even_if_that_cannot_be_recorded(
    plane: Plane,
) -> None:
    with_ann(plane)
    issued = plane.ask("POST", f"users/{ANN}/tokens", body={}).json()
    plane.is_recording = False
    assert plane.ask("DELETE", f"users/{ANN}/tokens/{issued['id']}").status == 503
    assert told(plane)[-1].revoked_us == plane.clock.now_us()
    plane.is_recording = True
    assert plane.ask("DELETE", f"users/{ANN}/tokens/{issued['id']}").status == 204
    assert plane.notes[-1].what == "user_token.revoked"


def test_no_token_is_made_that_cannot_be_recorded(plane: Plane) -> None:
    with_ann(plane)
    plane.is_recording = False
    assert plane.ask("POST", f"users/{ANN}/tokens", body={}).status == 503
    assert told(plane) == []
    assert plane.state.tokens.all() == ()


@pytest.mark.parametrize(
    "order",
    [{"expires_s": 0}, {"expires_s": 400 * 86_400}, {"label": "x" * 201}, {"roles": ["admin"]}],
)
def test_an_order_that_makes_no_sense_is_refused(plane: Plane, order: dict[str, object]) -> None:
    with_ann(plane)
    answer = plane.ask("POST", f"users/{ANN}/tokens", body=order)
    assert (answer.status, answer.code) == (400, "body_invalid")


def test_users_whom_no_file_names_need_a_default(plane: Plane) -> None:
    with_ann(plane)
    path = "users/new@acme.example/tokens"
    assert plane.ask("POST", path, body={}).code == "user_unknown"
    with_ann(plane, open_to_all=True)
    assert plane.ask("POST", "users/not a name/tokens", body={}).code == "user_unknown"
    issued = plane.ask("POST", path, body={}).json()
    assert plane.ask("GET", path).json()["items"][0]["id"] == issued["id"]
    # The default is gone: nothing new for them, but what there is can still be ended.
    with_ann(plane)
    assert plane.ask("POST", path, body={}).code == "user_unknown"
    assert plane.ask("DELETE", f"{path}/{issued['id']}").status == 204


@pytest.mark.parametrize("role", [Role.VIEWER, Role.APPROVER, Role.BUILDER, Role.AUDITOR])
def test_users_make_tokens_for_themselves_and_for_nobody_else(plane: Plane, role: Role) -> None:
    with_ann(plane)
    own, other = role.value, OWNER
    key = plane.key(role, user=own)
    issued = plane.ask("POST", f"users/{own}/tokens", key=key, body={}).json()
    assert plane.ask("GET", f"users/{own}/tokens", key=key).status == 200
    assert plane.ask("DELETE", f"users/{own}/tokens/{issued['id']}", key=key).status == 204
    for name in (other, "nobody"):
        for method, path in (("GET", ""), ("POST", ""), ("DELETE", f"/{issued['id']}")):
            answer = plane.ask(method, f"users/{name}/tokens{path}", key=key)
            assert (answer.status, answer.code) == (403, "role_missing")


def test_a_key_of_a_user_without_roles_opens_nothing_not_even_their_own(plane: Plane) -> None:
    key = plane.key(Role.VIEWER, user="viewer")
    plain = organisation()
    users = {**plain.users, "viewer": User(name="viewer")}
    plane.load(replace(plain, users=users))
    assert plane.ask("POST", "users/viewer/tokens", key=key, body={}).status == 403


def test_one_users_token_is_not_found_under_another(plane: Plane) -> None:
    with_ann(plane)
    issued = plane.ask("POST", f"users/{ANN}/tokens", body={}).json()
    answer = plane.ask("DELETE", f"users/{OWNER}/tokens/{issued['id']}")
    assert (answer.status, answer.code) == (404, "token_unknown")


def test_a_user_token_opens_no_route(plane: Plane) -> None:
    with_ann(plane)
    issued = plane.ask("POST", f"users/{ANN}/tokens", body={}).json()
    answer = plane.ask("GET", "agents", key=issued["token"])
    assert (answer.status, answer.code) == (403, "agent_credential")


def test_tokens_are_listed_by_pages(plane: Plane) -> None:
    with_ann(plane)
    for _ in range(3):
        plane.ask("POST", f"users/{ANN}/tokens", body={})
    first = plane.ask("GET", f"users/{ANN}/tokens?limit=2").json()
    rest = plane.ask("GET", f"users/{ANN}/tokens?limit=2&after={first['next']}").json()
    assert [len(first["items"]), len(rest["items"]), rest["next"]] == [2, 1, None]
