"""How isolated an agent is run, and whether its sandbox could reach anything at all."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

from ringfence.domain.agent import Agent, SandboxTier
from ringfence.domain.error import UsageError
from ringfence.domain.sandbox import at_least, is_sandbox
from ringfence.domain.verdict import Code, Reason


def tier(agent: Agent, asked: SandboxTier | None) -> SandboxTier:
    """The tier to run in: what is asked for, which may only raise the agent's own minimum.

    Raises UsageError `sandbox_tier`; nothing ever steps down by itself.
    """
    if asked is None:
        return agent.sandbox
    if at_least(asked, agent.sandbox):
        return asked
    raise UsageError(
        "sandbox_tier",
        f"agent `{agent.name}` is not run in the `{asked}` tier: its least is `{agent.sandbox}`",
        help=f"leave out --sandbox, or have its owner change `sandbox` of `{agent.name}`",
    )


def check_reach(agent: Agent) -> None:
    """An empty allow-list allows nothing: say so before anything starts.

    Raises UsageError `allow_list_empty`.
    """
    scope = agent.scope
    if scope.models or scope.tools or scope.hosts:
        return
    raise UsageError(
        "allow_list_empty",
        f"agent `{agent.name}` may use no model, no tool and no host; an empty list allows nothing",
        help=f"name what it may use under `models`, `tools` or `hosts` of `{agent.name}`",
    )


def shared_folder(first: Iterable[str], second: Iterable[str]) -> str:
    """A folder that both may change: the inner of two that are one or lie in each other.

    Empty if there is none. Paths are absolute and normal.
    """
    others = [PurePosixPath(each) for each in second]
    for path in map(PurePosixPath, first):
        for other in others:
            if path.is_relative_to(other):
                return str(path)
            if other.is_relative_to(path):
                return str(other)
    return ""


def misplaced(credential: str, sandbox: str | None) -> Reason | None:
    """Why a credential is no good on the listener that it came to; None if it is.

    A sandbox's tokens work on its own listener alone, and no others do there; `sandbox` is whose
    listener it is, None for a port that is nobody's own.
    """
    if sandbox is None:
        return _OUTSIDE if is_sandbox(credential) else None
    return None if credential == sandbox else _FOREIGN


_OUTSIDE: Final = Reason(
    code=Code.CREDENTIAL_UNKNOWN,
    message="This token belongs to a sandbox and works only inside it. Do not retry.",
)
_FOREIGN: Final = Reason(
    code=Code.CREDENTIAL_UNKNOWN,
    message="Only this sandbox's own token works here; it is in RINGFENCE_TOKEN. Do not retry "
    "with another.",
)
