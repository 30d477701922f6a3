import http.client

from tests.cli.installation import OWNER, Installation


def reaches(plane: Installation, key: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", plane.control_port, timeout=60)
    connection.request("GET", "/api/v1/status", headers={"authorization": f"Bearer {key}"})
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_key_opens_the_api_until_it_is_revoked(plane: Installation) -> None:
    made = plane.call("key", "create", OWNER, "--role", "viewer", "--label", "dashboard")
    (key,) = made.out.splitlines()
    assert key.startswith("rf_key_")
    assert key not in made.err
    assert reaches(plane, key) == 200
    listed = plane.call("key", "list", "--json").json()
    (known,) = [each for each in listed if each["label"] == "dashboard"]
    assert known["roles"] == ["viewer"]
    assert plane.call("key", "revoke", known["id"]).code == 0
    assert reaches(plane, key) == 401
    assert "revoked" in plane.call("key", "list").out
    assert key not in plane.call("key", "list", "--json").out


def test_a_role_that_the_user_does_not_have_is_refused(plane: Installation) -> None:
    result = plane.call("key", "create", "reader@acme.example", "--role", "admin")
    assert (result.code, result.out) == (2, "")


def test_a_user_that_is_not_there_is_wrong_use(stopped: Installation) -> None:
    result = stopped.call("key", "create", "nobody@acme.example")
    assert result.code == 2
    assert "no user named `nobody@acme.example`" in result.err


def test_no_keys_are_said_to_be_none(stopped: Installation) -> None:
    result = stopped.call("key", "list")
    assert (result.code, result.out) == (0, "")
    assert "ringfence key create" in result.err
    assert stopped.call("key", "list", "--json").json() == []
