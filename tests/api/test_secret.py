import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.api.plane import OWNER, Plane

from ringfence.domain.organisation import Role
from ringfence.domain.secret import (
    FromEnvironment,
    FromStore,
    InHeader,
    SecretBinding,
    SecretDefinition,
)

VALUE = "sk-canary-0123456789abcdef"


def with_secrets(plane: Plane) -> None:
    binding = SecretBinding(host="api.crm.example", location=InHeader(prefix="Bearer "))
    crm = SecretDefinition(name="crm", origin=FromStore(), bindings=(binding,))
    house = SecretDefinition(name="house", origin=FromEnvironment("HOUSE"))
    agents = {
        name: replace(each, secrets=frozenset({"crm"})) for name, each in plane.acme.agents.items()
    }
    plane.load(replace(plane.acme, secrets={"crm": crm, "house": house}, agents=agents))


def items(plane: Plane) -> dict[str, dict[str, object]]:
    listed = plane.ask("GET", "secrets").json()["items"]
    return {each["name"]: each for each in listed}


def test_a_value_is_stored_and_never_comes_back(plane: Plane, tmp_path: Path) -> None:
    with_secrets(plane)
    answer = plane.ask("POST", "secrets/crm", body={"value": VALUE})
    assert (answer.status, answer.json()["generation"]) == (200, 1)
    assert plane.custody.changes == 1
    found = plane.stored.get(plane.acme.id, "crm")
    assert found is not None
    assert found[0].reveal() == VALUE
    shown = answer.body + plane.ask("GET", "secrets").body
    disk = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    for form in (VALUE.encode(), base64.b64encode(VALUE.encode()), VALUE.encode().hex().encode()):
        assert form not in shown + disk
    assert VALUE not in repr(plane.notes)


def test_every_change_is_recorded_by_its_name(plane: Plane) -> None:
    with_secrets(plane)
    plane.ask("POST", "secrets/crm", body={"value": VALUE})
    plane.ask("POST", "secrets/crm", body={"value": VALUE, "is_rotation": True})
    plane.ask("DELETE", "secrets/crm")
    plane.ask("POST", "secret-key")
    assert [(note.what, note.subject) for note in plane.notes] == [
        ("secret.set", "crm"),
        ("secret.rotated", "crm"),
        ("secret.deleted", "crm"),
        ("secret.key_renewed", plane.acme.id),
    ]
    assert plane.custody.changes == 3


def test_secrets_are_listed_with_where_they_come_from_and_go(plane: Plane) -> None:
    with_secrets(plane)
    plane.ask("POST", "secrets/crm", body={"value": VALUE})
    plane.ask("POST", "secrets/early", body={"value": VALUE})
    plane.custody.troubles["house"] = "secret `house` has no value"
    found = items(plane)
    assert list(found) == ["crm", "early", "house"]
    assert found["crm"]["hosts"] == ["api.crm.example:443"]
    assert found["crm"]["agents"] == sorted(plane.acme.agents)
    assert (found["crm"]["origin"], found["crm"]["generation"]) == ("stored", 1)
    assert (found["early"]["origin"], found["house"]["origin"]) == ("", "environment")
    assert (found["house"]["generation"], found["house"]["trouble"]) == (
        None,
        "secret `house` has no value",
    )


def test_they_are_listed_by_pages(plane: Plane) -> None:
    for name in ("a", "b", "c"):
        plane.ask("POST", f"secrets/{name}", body={"value": VALUE})
    first = plane.ask("GET", "secrets?limit=2").json()
    rest = plane.ask("GET", f"secrets?limit=2&after={first['next']}").json()
    assert [len(first["items"]), len(rest["items"]), rest["next"]] == [2, 1, None]


@pytest.mark.parametrize(
    ("name", "body", "code", "status"),
    [
        ("crm", {"value": ""}, "secret_empty", 400),
        ("crm", {"value": "unusable"}, "secret_unusable", 400),
        ("crm", {"value": VALUE, "is_rotation": True}, "secret_unknown", 404),
        ("house", {"value": VALUE}, "secret_elsewhere", 409),
        ("CRM", {"value": VALUE}, "secret_name", 400),
        ("crm", {"value": [VALUE]}, "body_invalid", 400),
        ("crm", {"valeu": VALUE}, "body_invalid", 400),
        ("crm", f'{{"value": "{VALUE}'.encode(), "body_invalid", 400),
    ],
)
def test_what_cannot_be_stored_is_said_and_not_repeated(
    plane: Plane, name: str, body: object, code: str, status: int
) -> None:
    with_secrets(plane)
    answer = plane.ask("POST", f"secrets/{name}", body=body)
    assert (answer.status, answer.code) == (status, code)
    assert VALUE.encode() not in answer.body
    assert plane.notes == []
    assert plane.stored.list(plane.acme.id) == ()


def test_a_value_in_the_place_of_a_name_is_not_repeated(plane: Plane) -> None:
    answer = plane.ask("POST", f"secrets/{VALUE}%20X", body={"value": VALUE})
    assert answer.code == "secret_name"
    assert VALUE.encode() not in answer.body


def test_nothing_is_stored_that_cannot_be_recorded(plane: Plane) -> None:
    plane.is_recording = False
    assert plane.ask("POST", "secrets/crm", body={"value": VALUE}).status == 503
    assert plane.stored.list(plane.acme.id) == ()


def test_what_is_not_there_cannot_be_deleted(plane: Plane) -> None:
    assert plane.ask("DELETE", "secrets/crm").code == "secret_unknown"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.APPROVER, Role.BUILDER, Role.AUDITOR])
def test_only_administrators_change_secrets(plane: Plane, role: Role) -> None:
    key = plane.key(role)
    for method, target, body in (
        ("POST", "secrets/crm", {"value": VALUE}),
        ("DELETE", "secrets/crm", None),
        ("POST", "secret-key", None),
    ):
        assert plane.ask(method, target, key=key, body=body).code == "role_missing"
    listed = plane.ask("GET", "secrets", key=key)
    assert (listed.status == 200) is (role is Role.BUILDER)


def test_an_organisation_never_reaches_the_secrets_of_another(plane: Plane) -> None:
    other = replace(plane.acme, name="other", id="", agents={}, teams={})
    plane.load(plane.acme, other)
    plane.ask("POST", "secrets/crm?organisation=acme", body={"value": VALUE})
    assert plane.ask("GET", "secrets?organisation=other").json()["items"] == []
    deleted = plane.ask("DELETE", "secrets/crm?organisation=other")
    assert (deleted.status, deleted.code) == (404, "secret_unknown")
    rotated = plane.ask(
        "POST", "secrets/crm?organisation=other", body={"value": VALUE, "is_rotation": True}
    )
    assert rotated.code == "secret_unknown"
    assert json.loads(plane.ask("GET", "secrets?organisation=acme").body)["items"] != []


def test_the_key_of_several_organisations_is_its_operator_s_to_renew(plane: Plane) -> None:
    key = plane.ask("POST", "keys", body={"user": OWNER}).json()["key"]
    assert plane.ask("POST", "secret-key", key=key).status == 200
    other = replace(plane.acme, name="other", id="", agents={}, teams={})
    plane.load(plane.acme, other)
    assert plane.ask("POST", "secret-key", key=key).code == "local_only"
    assert plane.ask("POST", "secret-key").status == 200
