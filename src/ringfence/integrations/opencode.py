"""opencode: a provider of its own for the gateway, and its MCP servers.

Source: https://opencode.ai/docs (config, providers, MCP servers); measured with 1.18.33.
"""

from typing import Any, Final

import msgspec

from ringfence.domain.model import ProviderProtocol
from ringfence.domain.sandbox import SandboxGrant
from ringfence.integrations.choice import model
from ringfence.sandbox.assembly import Scene, Setup
from ringfence.sandbox.environment import url_of
from ringfence.sandbox.plan import SandboxFile

_PACKAGES: Final = {
    ProviderProtocol.OPENAI: "@ai-sdk/openai-compatible",
    ProviderProtocol.ANTHROPIC: "@ai-sdk/anthropic",
}
"""Of the protocols that it speaks; it carries both."""
_LIBRARY: Final = {"dependencies": {"@opencode-ai/plugin": "*"}}
"""For plugins of its user, of which there are none; it fetches this at each start if it is missing,
and looks for it in these files (read in 1.18.33, `Npm.install`)."""


def setup(grant: SandboxGrant, where: Scene, command: tuple[str, ...]) -> Setup:
    """A configuration file of its own, named by its variable."""
    del command
    folder = f"{where.home}/.config/opencode"
    path = f"{folder}/opencode.json"
    written = {
        path: _config(grant, url_of(where.gateway)),
        f"{folder}/package.json": _LIBRARY,
        f"{folder}/package-lock.json": {"packages": {"": _LIBRARY}},
        f"{folder}/node_modules/.package-lock.json": {},
    }
    return Setup(
        environment={
            "OPENCODE_CONFIG": path,
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
        },
        files=tuple(
            SandboxFile(path=each, content=msgspec.json.encode(content), is_writable=True)
            for each, content in written.items()
        ),
    )


def _config(grant: SandboxGrant, url: str) -> dict[str, Any]:
    bearer = {"Authorization": f"Bearer {grant.token}"}
    found: dict[str, Any] = {
        "$schema": "https://opencode.ai/config.json",
        "autoupdate": False,
        "share": "disabled",
        "provider": {
            f"ringfence-{protocol.value}": {
                "npm": package,
                "name": "Ringfence",
                "options": {"baseURL": f"{url}/v1", "apiKey": grant.token},
                "models": {
                    name: {"name": name}
                    for name, spoken in grant.models.items()
                    if spoken == protocol
                },
            }
            for protocol, package in _PACKAGES.items()
            if protocol in grant.models.values()
        },
        "mcp": {
            name: {
                "type": "remote",
                "url": f"{url}/mcp/{name}",
                "headers": bearer,
                "enabled": True,
            }
            for name in grant.servers
        },
    }
    for protocol in _PACKAGES:
        name = model(grant, protocol)
        if name and "model" not in found:
            found["model"] = found["small_model"] = f"ringfence-{protocol.value}/{name}"
    return found
