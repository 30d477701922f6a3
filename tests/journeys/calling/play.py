"""What the clients are asked, and what the scripted model answers."""

from typing import Any, Final

import yaml
from tests.journeys.calling.case import Case
from tests.journeys.calling.journey import Caller

from ringfence.testing.model import script
from ringfence.testing.model.script import Script

SERVER: Final = "scripted"
COUNTING: Final = "counting"
"""A server of the legacy era, so that it has sessions to count in."""
HERE: Final = "_here"
"""Ends the names of its tools: two servers that offer the same name are held (docs/tools.md)."""
SAID: Final = "The tool said: "
ECHOED: Final = "forty-two geese"
FORBIDDEN: Final = "a forbidden word"
DELETED: Final = "delete_all"
"""What the tool of that name gives back."""
IMPATIENT: Final = "[Tt]imed out|error occurred while running"
"""What a model is told by a client that has given up."""


def prompt(caller: Caller, case: Case) -> str:
    """What the user says; clients without a model do each call that is named."""
    match case:
        case Case.CALL:
            asked = "echo", f'{{"text": "{ECHOED}"}}'
        case Case.FORBIDDEN:
            asked = "echo", f'{{"text": "{FORBIDDEN}"}}'
        case Case.STATE:
            asked = f"counter{HERE}", "{}"
        case _:
            asked = "delete_all", "{}"
    server = COUNTING if case is Case.STATE else SERVER
    name = caller.tool.format(server=server, tool=asked[0])
    times = 2 if case is Case.STATE and caller.dialect is None else 1
    return " ".join([f"Please call the tool {name} with {asked[1]}."] * times)


def model(case: Case) -> Script:
    """The model asks for the tool once, or twice of a counter, and says what the tool said.

    Where its client gave up waiting it asks again, as it is told to.
    """
    asked: dict[str, Any] = {
        "tool_calls": [{"name": "{asked_tool}", "arguments": "{asked_arguments}"}]
    }
    last = {"when": {"tool_results": True}, "answer": {"text": f"{SAID}{{tool_result}}"}}
    first = {"when": {"asks_for_tool": True}, "answer": asked}
    again = {"when": {"tool_result": IMPATIENT}, "answer": asked}
    if case is Case.STATE:
        again = {"when": {"turn": 2, "tool_results": True}, "answer": asked}
    rest = {"answer": {"text": "Something else was asked."}}
    return script.parse(yaml.safe_dump({"format": 1, "rules": [again, last, first, rest]}))
