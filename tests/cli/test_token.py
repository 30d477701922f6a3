import pytest
from tests.cli.installation import Installation


def test_a_token_stands_alone_on_standard_output(plane: Installation) -> None:
    result = plane.call("agent", "token", "triage", "--label", "nightly run")
    (token,) = result.out.splitlines()
    assert token.startswith("rf_agt_")
    assert token not in result.err
    assert "not shown again" in result.err
    assert plane.ask("hello", token=token)[0] == 200


def test_a_token_is_never_shown_again(plane: Installation) -> None:
    token = plane.call("agent", "token", "triage").out.strip()
    for command in (
        ["agent", "token", "triage", "--list"],
        ["agent", "token", "triage", "--list", "--json"],
        ["agent", "show", "triage", "--json"],
        ["audit", "export"],
        ["status", "--json"],
    ):
        assert token not in plane.call(*command).written


def test_a_revoked_token_is_refused_at_once(plane: Installation) -> None:
    token = plane.call("agent", "token", "triage", "--label", "leaked").out.strip()
    tokens = plane.call("agent", "token", "triage", "--list", "--json").json()
    (known,) = [each for each in tokens if each["label"] == "leaked"]
    assert plane.call("agent", "token", "triage", "--revoke", known["id"]).code == 0
    assert plane.ask("hello", token=token)[0] == 401
    assert "revoked 20" in plane.call("agent", "token", "triage", "--list").out


def test_a_rotated_token_is_replaced_and_may_linger(plane: Installation) -> None:
    old = plane.call("agent", "token", "triage", "--label", "first").out.strip()
    tokens = plane.call("agent", "token", "triage", "--list", "--json").json()
    (known,) = [each for each in tokens if each["label"] == "first"]
    rotate = ("--rotate", known["id"], "--grace", "1h")
    new = plane.call("agent", "token", "triage", *rotate, "--label", "second").out.strip()
    assert plane.ask("hello", token=new)[0] == 200
    assert plane.ask("hello", token=old)[0] == 200
    assert "until 20" in plane.call("agent", "token", "triage", "--list").out


def test_json_gives_the_token_with_its_id(stopped: Installation) -> None:
    document = stopped.call("agent", "token", "triage", "--json").json()
    assert document["id"].startswith("crd_")
    assert document["token"].startswith("rf_agt_")


@pytest.mark.parametrize(
    "options", [["--list", "--revoke", "x"], ["--rotate", "x", "--list"], ["--grace", "1h"]]
)
def test_options_that_contradict_each_other_are_wrong_use(
    stopped: Installation, options: list[str]
) -> None:
    assert stopped.call("agent", "token", "triage", *options).code == 2


def test_a_token_that_is_unknown_cannot_be_revoked(plane: Installation) -> None:
    result = plane.call("agent", "token", "triage", "--revoke", "crd_nothing")
    assert result.code == 2
