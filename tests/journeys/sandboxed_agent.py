"""The agents of the sandboxed journey: how a user starts each, and what its model asks of it."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.journeys.environment import Environment

PROMPT: Final = "Do the task."
SAID: Final = "All is done."
SCAN: Final = "python3 scan.py > scanned.json; cat scanned.json"
_CLAUDE_TOOLS: Final = "    tools: [own__*, crm__*]"
_CRM: Final = "    tools: [crm__*]"
_GRAPH: Final = Path(__file__).parent / "clients" / "langgraph" / "sandboxed.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool call that the scripted model makes; `{work}` in its words is the workspace."""

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RealAgent:
    """One agent as it is released, behind one protocol.

    `folder` holds its manifest; `commands` is where its program lies below what is installed;
    `model` is the name its model has, and `begins` a tool by which its main calls are told from
    others, such as one for a title. `order` is what the record must have after the start.
    """

    name: str
    folder: str
    model: str
    provider: str
    command: Sequence[str]
    calls: Sequence[Call]
    order: Sequence[str]
    tools: str = _CRM
    begins: str = ""
    commands: str = ""
    files: Mapping[str, Path] = field(default_factory=dict)

    def words(self, installed: Environment) -> Sequence[str]:
        """The command line; `python` is one that the user who runs it can start."""
        if self.command[0] != "python":
            return self.command
        if os.geteuid():
            return (str(installed.python), *self.command[1:])
        return ("env", f"PYTHONPATH={libraries(installed)}", "/usr/bin/python3", *self.command[1:])

    def shown(self, installed: Environment) -> Sequence[str]:
        """What of the machine it needs to see beside its program."""
        is_ours = self.command[0] == "python" and not os.geteuid()
        return (str(libraries(installed)),) if is_ours else ()

    def rules(self, work: Path) -> Sequence[Mapping[str, Any]]:
        """The scripted model's part."""
        when: dict[str, Any] = {"model": self.model}
        answers: list[Mapping[str, Any]] = [
            {"tool_calls": [{"name": each.name, "arguments": _filled(each.arguments, work)}]}
            for each in self.calls
        ]
        main = {"when": when, "answers": [*answers, {"text": SAID}]}
        if not self.begins:
            return (main,)
        others = {"when": when, "answer": {"text": "A title."}}
        return (main | {"when": {**when, "tools": [self.begins]}}, others)


def libraries(installed: Environment) -> Path:
    """The packages of a Python client."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return installed.python.parents[1] / "lib" / version / "site-packages"


def _filled(arguments: Mapping[str, object], work: Path) -> Mapping[str, object]:
    return {
        name: value.replace("{work}", str(work)) if isinstance(value, str) else value
        for name, value in arguments.items()
    }


def _written(name: str) -> str:
    return f"written by {name}\n"


def _order(model: str, *between: str) -> Sequence[str]:
    """A model call before each of these, and after the last."""
    return (*(word for each in between for word in (model, *each.split())), model)


AGENTS: Final = (
    RealAgent(
        name="claude",
        folder="claude_code",
        model="sonnet",
        provider="anthropic",
        tools=_CLAUDE_TOOLS,
        command=("claude", "-p", PROMPT),
        calls=(
            Call(
                name="Write",
                arguments={"file_path": "{work}/notes.txt", "content": _written("claude")},
            ),
            Call(name="Bash", arguments={"command": SCAN}),
            Call(name="mcp__crm__echo", arguments={"text": "hi"}),
        ),
        begins="Bash",
        order=_order("sonnet", "own__Write", "own__Bash python3", "crm__echo"),
    ),
    RealAgent(
        name="codex",
        folder="codex",
        model="gpt",
        provider="openai",
        command=("codex", "exec", "--skip-git-repo-check", PROMPT),
        calls=(
            Call(
                name="exec_command",
                arguments={"cmd": "printf 'written by codex\\n' > notes.txt; git init -q ."},
            ),
            Call(name="exec_command", arguments={"cmd": SCAN}),
            Call(name="echo", arguments={"text": "from codex"}),
        ),
        begins="exec_command",
        order=_order("gpt", "bash git", "python3", "crm__echo"),
    ),
    *(
        RealAgent(
            name=f"copilot-{provider}",
            folder="copilot",
            model=f"copilot-{provider}",
            provider=provider,
            command=("copilot", "-p", PROMPT, "--allow-all-tools", "--silent", "--no-color"),
            calls=(
                Call(
                    name="create",
                    arguments={
                        "path": "{work}/notes.txt",
                        "file_text": _written(f"copilot-{provider}"),
                    },
                ),
                Call(name="bash", arguments={"command": SCAN, "description": "look around"}),
                Call(name="crm-echo", arguments={"text": "hi"}),
            ),
            order=_order(f"copilot-{provider}", "", "python3", "crm__echo"),
        )
        for provider in ("openai", "anthropic")
    ),
    *(
        RealAgent(
            name=f"opencode-{provider}",
            folder="opencode",
            commands="npm/node_modules/opencode-linux-x64/bin",
            model=f"opencode-{provider}",
            provider=provider,
            command=("opencode", "run", PROMPT),
            begins="bash",
            calls=(
                Call(
                    name="write",
                    arguments={
                        "filePath": "{work}/notes.txt",
                        "content": _written(f"opencode-{provider}"),
                    },
                ),
                Call(name="bash", arguments={"command": SCAN, "description": "look around"}),
                Call(name="crm_echo", arguments={"text": "hi"}),
            ),
            order=_order(f"opencode-{provider}", "", "python3", "crm__echo"),
        )
        for provider in ("openai", "anthropic")
    ),
    RealAgent(
        name="langgraph",
        folder="langgraph",
        model="graph",
        provider="openai",
        command=("python", "graph.py", PROMPT),
        files={"graph.py": _GRAPH},
        calls=(
            Call(name="shell", arguments={"line": "printf 'written by langgraph\\n' > notes.txt"}),
            Call(name="shell", arguments={"line": SCAN}),
            Call(name="echo", arguments={"text": "hi"}),
        ),
        order=_order("graph", "bash", "python3", "crm__echo"),
    ),
)
