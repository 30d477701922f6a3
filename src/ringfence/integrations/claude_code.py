"""Claude Code: its base URL, its hooks on the actions API, its MCP servers, its ids.

Source: https://code.claude.com/docs (settings, hooks, MCP, LLM gateways); measured with 2.1.329.
"""

from typing import Any, Final

import msgspec

from ringfence.domain.model import ProviderProtocol
from ringfence.domain.sandbox import SandboxGrant
from ringfence.integrations.choice import is_given, model
from ringfence.sandbox.assembly import Scene, Setup
from ringfence.sandbox.environment import url_of
from ringfence.sandbox.plan import SandboxFile

_HOOK_S: Final = 600
"""Longer than a person is waited for behind it."""
_WAIT_MS: Final = "600000"
_MEANINGS: Final = (
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "ANTHROPIC_SMALL_FAST_MODEL",
)
_NOT_MCP: Final = "^(?!mcp__).*"
"""Tools of MCP servers pass the tool gateway, where they are decided."""


def setup(grant: SandboxGrant, where: Scene, command: tuple[str, ...]) -> Setup:
    """Variables and files; the command stays as it is."""
    url = url_of(where.gateway)
    folder = f"{where.home}/.claude"
    return Setup(
        environment={**_variables(grant, url, folder), **_model(grant, command)},
        files=(
            _file(f"{folder}/settings.json", _settings(grant, url)),
            _file(f"{folder}/.claude.json", _state(grant, url, where), is_writable=True),
        ),
    )


def _variables(grant: SandboxGrant, url: str, folder: str) -> dict[str, str]:
    return {
        "CLAUDE_CONFIG_DIR": folder,
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "",  # for a key it asks its user's consent, for a token it does not
        "ANTHROPIC_AUTH_TOKEN": grant.token,
        "CLAUDE_CODE_GATEWAY_HINT_HEADERS": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
        "CLAUDE_CODE_MAX_RETRIES": "1",
        "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL": "1",  # it asks its maker's host
        "DISABLE_AUTOUPDATER": "1",
        "ENABLE_TOOL_SEARCH": "false",  # else tools are not declared, and so not seen, at first
        "MCP_TOOL_TIMEOUT": _WAIT_MS,
    }


def _model(grant: SandboxGrant, command: tuple[str, ...]) -> dict[str, str]:
    """A model that the agent may use, unless one is chosen; small tasks use it in any case."""
    name = model(grant, ProviderProtocol.ANTHROPIC)
    if not name:
        return {}
    # What its own short names mean, `sonnet` for example, which may be the gateway's name too.
    meant = dict.fromkeys(_MEANINGS, name)
    return meant if is_given(command, "--model") else {"ANTHROPIC_MODEL": name, **meant}


def _settings(grant: SandboxGrant, url: str) -> dict[str, Any]:
    """Hooks for its own tools, where the agent's scope has any of them.

    It need not ask its user about tools of the gateway's servers: the gateway decides these.
    """
    settings: dict[str, Any] = {
        "permissions": {
            "allow": [f"mcp__{name}" for name in grant.servers],
            "defaultMode": "default",
        },
        "disableAutoMode": "disable",  # its provider would judge, by a field at a price of its own
    }
    if not grant.own_tools:
        return settings
    hook = {
        "type": "http",
        "url": f"{url}/ringfence/v1/hooks/claude-code/{grant.own_tools[0]}",
        "headers": {"Authorization": "Bearer $RINGFENCE_TOKEN"},
        "allowedEnvVars": ["RINGFENCE_TOKEN"],
        "timeout": _HOOK_S,
    }
    moments = ("PreToolUse", "PostToolUse", "PostToolUseFailure")
    hooks = {each: [{"matcher": _NOT_MCP, "hooks": [hook]}] for each in moments}
    return {**settings, "hooks": hooks}


def _state(grant: SandboxGrant, url: str, where: Scene) -> dict[str, Any]:
    """What it would ask at its first start, and the tool servers of the gateway.

    It need not ask whether the folder is trusted: what runs from there runs in the sandbox.
    """
    bearer = {"Authorization": f"Bearer {grant.token}"}
    return {
        "hasCompletedOnboarding": True,
        "bypassPermissionsModeAccepted": True,
        "projects": {each: {"hasTrustDialogAccepted": True} for each in where.folders},
        "mcpServers": {
            name: {"type": "http", "url": f"{url}/mcp/{name}", "headers": bearer}
            for name in grant.servers
        },
    }


def _file(path: str, content: dict[str, Any], *, is_writable: bool = False) -> SandboxFile:
    return SandboxFile(path=path, content=msgspec.json.encode(content), is_writable=is_writable)
