"""A command is joined to the model call that wrote it, and what it begins to the same."""

import json

from ringfence.analysis.command_join import Ran, askers
from ringfence.domain.exchange import Message, Part, Reading


def model(action: str, *calls: object) -> Ran:
    parts = [Part(kind="tool_call", name="Bash", text=json.dumps(each)) for each in calls]
    reading = Reading(answer=Message(role="assistant", parts=parts))
    return Ran(action=action, kind="model.call", within="", reading=reading)


def ran(action: str, *argv: str, within: str = "") -> Ran:
    parts = [Part(kind="argument", text=each) for each in argv]
    reading = Reading(answer=Message(role="command", parts=parts))
    return Ran(action=action, kind="shell.exec", within=within, reading=reading)


def test_a_shell_that_is_given_the_models_text_is_the_models() -> None:
    steps = [
        model("m1", {"command": "git status", "description": "look"}),
        ran("e1", "bash", "-c", "shopt -u x; eval 'git status' < /dev/null"),
        ran("e2", "git", "status", within="e1"),
        ran("e3", "git-remote", "origin", within="e2"),
    ]
    assert askers(steps) == {"e1": "m1", "e2": "m1", "e3": "m1"}


def test_of_two_calls_with_the_same_text_the_later_is_meant() -> None:
    steps = [
        model("m1", {"command": "make"}),
        model("m2", {"command": "make"}),
        ran("e1", "bash", "-c", "make"),
    ]
    assert askers(steps) == {"e1": "m2"}


def test_a_list_of_words_is_joined_by_its_last_one() -> None:
    steps = [
        model("m1", {"command": ["bash", "-lc", "ls -la"]}),
        ran("e1", "/usr/bin/bash", "-lc", "ls -la"),
    ]
    assert askers(steps) == {"e1": "m1"}


def test_what_no_model_wrote_is_nobodys() -> None:
    steps = [
        ran("e0", "claude", "-p", "make"),
        model("m1", {"command": "make"}, "not an object", {"path": "/x", "n": 7, "c": "a"}),
        ran("e1", "uname", "-a"),
        ran("e2", "make"),
    ]
    assert askers(steps) == {}


def test_what_is_not_stored_is_not_joined() -> None:
    bare = Ran(action="e1", kind="shell.exec", within="", reading=None)
    assert askers([model("m1", {"command": "make"}), bare]) == {}
