"""Codex: a provider that is the gateway, without retries, and its MCP servers.

Source: https://developers.openai.com/codex/config-reference; measured with 0.169.0.
"""

from typing import Final

from ringfence.domain.model import ProviderProtocol
from ringfence.domain.sandbox import SandboxGrant
from ringfence.integrations.choice import model
from ringfence.sandbox.assembly import Scene, Setup
from ringfence.sandbox.environment import url_of
from ringfence.sandbox.plan import SandboxFile

_TOKEN: Final = "RINGFENCE_TOKEN"  # noqa: S105 (the name of a variable)
_WAIT_S: Final = 600


def setup(grant: SandboxGrant, where: Scene, command: tuple[str, ...]) -> Setup:
    """A configuration of its own; our sandbox stands in the place of its."""
    del command
    folder = f"{where.home}/.codex"
    lines = [*_lines(grant, url_of(where.gateway)), *_trusted(where.folders)]
    config = "\n".join(lines) + "\n"
    return Setup(
        environment={"CODEX_HOME": folder},
        files=(
            SandboxFile(path=f"{folder}/config.toml", content=config.encode(), is_writable=True),
        ),
    )


def _lines(grant: SandboxGrant, url: str) -> list[str]:
    name = model(grant, ProviderProtocol.OPENAI)
    lines = [
        'model_provider = "ringfence"',
        'approval_policy = "never"',
        'sandbox_mode = "danger-full-access"',  # the sandbox around it confines it
        'web_search = "disabled"',
        "check_for_update_on_startup = false",
        *([f"model = {_text(name)}"] if name else []),
        "",
        "[analytics]",
        "enabled = false",
        "",
        "[features]",  # they look for what their maker's own hosts offer, at each start
        "apps = false",
        "plugins = false",
        "daemon_auto_start = false",  # it would be spoken to over a Unix socket
        "",
        "[model_providers.ringfence]",
        'name = "Ringfence"',
        f"base_url = {_text(f'{url}/v1')}",
        f"env_key = {_text(_TOKEN)}",
        'wire_api = "responses"',
        "request_max_retries = 0",
        "stream_max_retries = 0",
    ]
    for server in grant.servers:
        lines += [
            "",
            f"[mcp_servers.{_text(server)}]",
            f"url = {_text(f'{url}/mcp/{server}')}",
            f"bearer_token_env_var = {_text(_TOKEN)}",
            f"tool_timeout_sec = {_WAIT_S}",
        ]
    return lines


def _trusted(folders: tuple[str, ...]) -> list[str]:
    """It need not ask about these: what runs from there runs in the sandbox."""
    return [
        line
        for each in folders
        for line in ("", f"[projects.{_text(each)}]", 'trust_level = "trusted"')
    ]


def _text(value: str) -> str:
    """A basic string of TOML. Source: https://toml.io/en/v1.0.0#string."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    plain = "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in escaped)
    return f'"{plain}"'
