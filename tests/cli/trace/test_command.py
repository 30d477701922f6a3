import pytest
from tests.cli.installation import SECRET, Installation


def test_traces_are_listed_newest_first(plane: Installation) -> None:
    lines = plane.call("trace", "list").out.splitlines()
    assert lines[0].split() == [
        "ID", "AGENT", "OPENED", "STATE", "STEPS", "REFUSALS", "COST", "TASK",
    ]  # fmt: skip
    assert "poor" in "".join(lines)
    items = plane.call("trace", "list", "--json").json()
    opened = [int(each["opened_us"]) for each in items]
    assert opened == sorted(opened, reverse=True)
    assert items[0]["opened_at"].endswith("Z")


def test_nothing_that_fits_is_said_to_be_nothing(plane: Installation) -> None:
    result = plane.call("trace", "list", "--since", "2100-01-01")
    assert (result.code, result.out, result.err) == (0, "", "no traces\n")


def test_a_trace_shows_who_what_and_how_much(plane: Installation) -> None:
    text = plane.call("trace", "show", plane.newest_trace("triage")).out
    assert "triage version 1" in text
    assert "owner      owner@acme.example" in text
    assert "small → house/small" in text
    assert "answer     You said:" in text
    assert "tokens in" in text
    assert "(agent, day)" in text


def test_a_refusal_says_why_and_whom_to_ask(plane: Installation) -> None:
    text = plane.call("trace", "show", "--last", "--agent", "poor").out
    assert "REFUSED budget_exhausted" in text
    assert "ask owner@acme.example" in " ".join(text.split())


def test_what_agents_and_models_say_cannot_move_the_terminal(plane: Installation) -> None:
    plane.ask("\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil")
    identifier = plane.newest_trace("triage")
    for options in ([], ["--full"], ["--json"]):
        result = plane.call("trace", "show", identifier, *options)
        assert not set(result.out) & set("\x1b\x07\x9b\u202e")
    assert "␛]0;owned␇" in plane.call("trace", "show", identifier).out


def test_json_is_the_document_of_the_api(plane: Installation) -> None:
    identifier = plane.newest_trace("triage")
    document = plane.call("trace", "show", identifier, "--json").json()
    assert document["invocation"] == identifier
    assert document["steps"][0]["usage"]["input_tokens"] > 0
    assert document["steps"][0]["reading"]["context"][-1]["role"] == "user"


def test_a_trace_is_found_by_one_of_its_actions(plane: Installation) -> None:
    identifier = plane.newest_trace("triage")
    document = plane.call("trace", "show", identifier, "--json").json()
    action = document["steps"][0]["action"]
    assert identifier in plane.call("trace", "show", action).out


def test_the_upstream_secret_is_nowhere(plane: Installation) -> None:
    for options in (["trace", "show", "--last", "--json"], ["trace", "show", "--last", "--full"]):
        assert SECRET not in plane.call(*options).written


@pytest.mark.parametrize(
    "arguments", [[], ["inv_x", "--last"], ["inv_x", "--agent", "poor"], ["inv_nothing"]]
)
def test_a_trace_that_is_not_named_or_not_there_is_wrong_use(
    plane: Installation, arguments: list[str]
) -> None:
    assert plane.call("trace", "show", *arguments).code == 2


def test_the_newest_of_none_is_wrong_use(stopped: Installation) -> None:
    result = stopped.call("trace", "show", "--last")
    assert (result.code, result.err) == (2, "ringfence: there is no trace yet\n")
