"""Tools that tests speak of, and a keeper of pins whose archive is a list."""

import json
from collections.abc import Mapping

from ringfence.domain.organisation import Configuration
from ringfence.domain.tool import ToolDefinition
from ringfence.domain.tool_source import ToolListing, ToolSource
from ringfence.enforcement.tool_custody import ToolCustody
from ringfence.protocols.tool_definition import read_definition


def tool(
    name: str, description: str = "Does it.", server: str = "crm", **members: object
) -> ToolDefinition:
    """A tool as a server lists it; `members` are further fields."""
    whole = {"name": name, "description": description, "inputSchema": {"type": "object"}, **members}
    return read_definition(server, json.dumps(whole).encode())


def listing(*tools: ToolDefinition, version: str = "crm 1.0", seen_us: int = 1) -> ToolListing:
    """What a server of `org_acme` lists."""
    return ToolListing(
        organisation="org_acme",
        source=tools[0].key.server if tools else "crm",
        raw=tuple(each.raw for each in tools),
        version=version,
        era="2025-11-25",
        seen_us=seen_us,
    )


class MemoryArchive:
    """An archive that remembers what it was told, in order."""

    def __init__(self) -> None:
        self.sources: list[ToolSource] = []

    def keep(self, source: ToolSource) -> None:
        self.sources.append(source)


class Keeping:
    """A keeper of pins with what it has written."""

    def __init__(self, *sources: ToolSource, configuration: Configuration | None = None) -> None:
        self.archive = MemoryArchive()
        self.notes: list[tuple[str, str, str, Mapping[str, str]]] = []
        self.known: list[ToolSource] = []
        self.configuration = configuration
        self.custody = ToolCustody(
            configuration=lambda: self.configuration,
            sources=sources,
            archive=self.archive,
            note=lambda *note: self.notes.append(note),
        )
        self.custody.on_known = self.known.append

    @property
    def said(self) -> list[tuple[str, str]]:
        """What was put on the record, and of what."""
        return [(what, subject) for _, what, subject, _ in self.notes]
