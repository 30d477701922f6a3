"""GitHub Copilot CLI: a provider of one's own, and its MCP servers.

Source: https://docs.github.com/copilot (bring your own key); measured with 1.0.102.
"""

import msgspec

from ringfence.domain.model import ProviderProtocol
from ringfence.domain.sandbox import SandboxGrant
from ringfence.integrations.choice import model
from ringfence.sandbox.assembly import Scene, Setup
from ringfence.sandbox.environment import url_of
from ringfence.sandbox.plan import SandboxFile


def setup(grant: SandboxGrant, where: Scene, command: tuple[str, ...]) -> Setup:
    """Variables, and its servers in a folder of its own; no login is needed with a provider."""
    del command
    url, folder = url_of(where.gateway), f"{where.home}/.copilot"
    return Setup(
        environment={
            "COPILOT_HOME": folder,
            "COPILOT_PROVIDER_API_KEY": grant.token,
            "COPILOT_OFFLINE": "true",
            "COPILOT_AUTO_UPDATE": "false",
            **_provider(grant, url),
        },
        files=(
            SandboxFile(
                path=f"{folder}/mcp-config.json", content=_servers(grant, url), is_writable=True
            ),
            SandboxFile(
                path=f"{folder}/config.json", content=_config(where.folders), is_writable=True
            ),
        ),
    )


def _provider(grant: SandboxGrant, url: str) -> dict[str, str]:
    openai = model(grant, ProviderProtocol.OPENAI)
    name = openai or model(grant, ProviderProtocol.ANTHROPIC)
    kind = "openai" if openai or not name else "anthropic"
    base = f"{url}/v1" if kind == "openai" else url
    found = {"COPILOT_PROVIDER_TYPE": kind, "COPILOT_PROVIDER_BASE_URL": base}
    return found | ({"COPILOT_MODEL": name} if name else {})


def _config(folders: tuple[str, ...]) -> bytes:
    """It need not ask whether the folders are trusted: what runs from there runs in the sandbox."""
    return msgspec.json.encode({"trustedFolders": folders})


def _servers(grant: SandboxGrant, url: str) -> bytes:
    bearer = {"Authorization": f"Bearer {grant.token}"}
    servers = {
        name: {"type": "http", "url": f"{url}/mcp/{name}", "headers": bearer, "tools": ["*"]}
        for name in grant.servers
    }
    return msgspec.json.encode({"mcpServers": servers})
