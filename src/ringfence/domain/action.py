"""The words of actions: what an agent asks to do."""

from enum import StrEnum


class ActionKind(StrEnum):
    """The five kinds of action; each door produces one or more."""

    MODEL_CALL = "model.call"
    TOOL_CALL = "tool.call"
    HTTP_REQUEST = "http.request"
    SHELL_EXEC = "shell.exec"
    AGENT_CALL = "agent.call"
