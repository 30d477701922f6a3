"""Which permission tier an action has: how much harm it can do."""

from fnmatch import fnmatchcase

from ringfence.domain.tool import PermissionTier, ToolServer

UNNAMED = PermissionTier.CONSEQUENTIAL
"""Of a tool that no list names: nobody has said that it only reads."""

HOSTED = PermissionTier.CONSEQUENTIAL
"""Of a tool that a provider runs during a model call, out of our sight."""


def tier_of(server: ToolServer, tool: str) -> PermissionTier:
    """The tier of a tool by its server's lists; of several patterns that match, the highest."""
    matching = [tier for pattern, tier in server.tiers if fnmatchcase(tool, pattern)]
    return max(matching, default=UNNAMED)
