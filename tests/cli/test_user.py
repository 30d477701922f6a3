from tests.cli.installation import OWNER, Installation


def test_a_user_token_is_printed_alone_listed_and_revoked(plane: Installation) -> None:
    made = plane.call("user", "token", OWNER, "--label", "laptop", "--expires", "8h")
    (token,) = made.out.splitlines()
    assert token.startswith("rf_usr_")
    assert token not in made.err
    listed = plane.call("user", "token", OWNER, "--list", "--json").json()
    (known,) = [each for each in listed if each["label"] == "laptop"]
    lasts_us = int(known["ends_us"]) - int(known["created_us"])
    assert lasts_us == 8 * 3600 * 1_000_000
    assert "until" in plane.call("user", "token", OWNER, "--list").out
    assert plane.call("user", "token", OWNER, "--revoke", known["id"]).code == 0
    assert "ended" in plane.call("user", "token", OWNER, "--list").out
    assert token not in plane.call("user", "token", OWNER, "--list", "--json").out


def test_users_are_listed(stopped: Installation) -> None:
    shown = stopped.call("user", "list").out
    assert OWNER in shown
    assert "all the agent's" in shown
    names = [each["name"] for each in stopped.call("user", "list", "--json").json()]
    assert names == sorted(names)


def test_wrong_use_is_told(stopped: Installation) -> None:
    assert stopped.call("user", "token", OWNER, "--list", "--revoke", "crd_1").code == 2
    nobody = stopped.call("user", "token", "nobody@acme.example")
    assert nobody.code == 2
    assert "no user named" in nobody.err
    none = stopped.call("user", "token", OWNER, "--list")
    assert (none.code, none.out) == (0, "")
    assert "ringfence user token" in none.err
