"""What may be ordered of a scripted tool server."""

from dataclasses import dataclass, field
from typing import Any

LEGACY = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = ("2026-07-28",)

Json = dict[str, Any]
"""A JSON object as it was read or will be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the server is to behave.

    `eras` is `both`, `legacy` or `modern`. After `rug_pull_after` calls of any tool the description
    of `echo` changes, and it asks for one more field. `page` is how many entries a list has per
    page, 0 for all. `as_stream` answers calls over HTTP as event streams also where one JSON
    document would do. `token` is what `Authorization: Bearer` must bring; empty for nothing.
    `suffix` ends the name of every tool, so that two servers have none in common.
    With `has_tasks` every call becomes a task, which has ended when it is asked for.
    `extra` are further tools (name, title, description, inputSchema …) that answer like `echo`.
    """

    name: str = "scripted-tools"
    eras: str = "both"
    rug_pull_after: int = 0
    page: int = 0
    as_stream: bool = False
    token: str = ""
    suffix: str = ""
    extra: tuple[Json, ...] = ()
    ttl_ms: int = 0
    has_tasks: bool = False

    @property
    def versions(self) -> tuple[str, ...]:
        """The revisions it speaks, oldest first."""
        return (LEGACY if self.eras != "modern" else ()) + (MODERN if self.eras != "legacy" else ())


@dataclass(slots=True)
class Call:
    """One call of a tool that was executed."""

    tool: str
    arguments: Json
    session: str
    era: str
    meta: Json


@dataclass(slots=True)
class Journal:
    """What was executed, and what came in."""

    calls: list[Call] = field(default_factory=list)
    requests: list[Json] = field(default_factory=list)
    """Every message, in order: `method`, `session`, `era`."""
    cancelled: list[object] = field(default_factory=list)
    """Ids of requests that their client gave up."""
