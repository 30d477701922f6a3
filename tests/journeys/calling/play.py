"""What the clients are asked, and what the scripted model answers."""

from dataclasses import dataclass
from typing import Any, Final

import yaml
from tests.journeys.calling.case import COUNTED, Case
from tests.journeys.calling.journey import Caller

from ringfence.testing.model import script
from ringfence.testing.model.script import Script

SERVER: Final = "scripted"
COUNTING: Final = "counting"
"""A server of the legacy era, so that it has sessions to count in."""
HERE: Final = "_here"
"""Ends the names of its tools: two servers that offer the same name are held (docs/tools.md)."""
NOTE: Final = "note-about-geese.txt"
"""The one file in the folder that the file server may read."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A tool to be called, and what its result holds."""

    server: str
    tool: str
    arguments: str
    told: str


PROCESSES: Final = (
    Asked("everything", "get-sum", '{"a": 19, "b": 23}', "42"),
    Asked("filesystem", "list_directory", '{"path": "."}', NOTE),
    Asked("memory", "search_nodes", '{"query": "geese"}', '"entities"'),
)
"""Published servers, each a process of the plane's."""
SAID: Final = "The tool said: "
ECHOED: Final = "forty-two geese"
FORBIDDEN: Final = "a forbidden word"
DELETED: Final = "delete_all"
"""What the tool of that name gives back."""
IMPATIENT: Final = "[Tt]imed out|error occurred while running"
"""What a model is told by a client that has given up."""


def asked(case: Case) -> tuple[Asked, ...]:
    """What is called, each in a run of its own."""
    match case:
        case Case.CALL:
            return (Asked(SERVER, "echo", f'{{"text": "{ECHOED}"}}', ECHOED),)
        case Case.FORBIDDEN:
            return (Asked(SERVER, "echo", f'{{"text": "{FORBIDDEN}"}}', ""),)
        case Case.STATE | Case.SHARED:
            return (Asked(COUNTING, f"counter{HERE}", "{}", ""),)
        case Case.PROCESS:
            return PROCESSES
        case _:
            return (Asked(SERVER, "delete_all", "{}", ""),)


def prompt(caller: Caller, case: Case, wanted: Asked) -> str:
    """What the user says; clients without a model do each call that is named."""
    tool = wanted.tool.replace("-", caller.hyphen)
    name = caller.tool.format(server=wanted.server, tool=tool)
    times = 2 if case in COUNTED and caller.dialect is None else 1
    return " ".join([f"Please call the tool {name} with {wanted.arguments}."] * times)


def model(case: Case) -> Script:
    """The model asks for the tool once, or twice of a counter, and says what the tool said.

    Where its client gave up waiting it asks again, as it is told to.
    """
    call: dict[str, Any] = {
        "tool_calls": [{"name": "{asked_tool}", "arguments": "{asked_arguments}"}]
    }
    last = {"when": {"tool_results": True}, "answer": {"text": f"{SAID}{{tool_result}}"}}
    first = {"when": {"asks_for_tool": True}, "answer": call}
    again = {"when": {"tool_result": IMPATIENT}, "answer": call}
    if case in COUNTED:
        again = {"when": {"turn": 2, "tool_results": True}, "answer": call}
    rest = {"answer": {"text": "Something else was asked."}}
    return script.parse(yaml.safe_dump({"format": 1, "rules": [again, last, first, rest]}))
