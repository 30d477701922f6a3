"""Grants and places for setting up known agents."""

from ringfence.domain.agent import SandboxTier
from ringfence.domain.sandbox import SandboxGrant
from ringfence.sandbox.assembly import Scene
from ringfence.sandbox.plan import SandboxFile

TOKEN = "rf_inv_1"
WHERE = Scene(
    tier=SandboxTier.STRICT,
    home="/home/agent",
    place="/run/ringfence",
    gateway=("127.0.0.1", 8484),
    proxy=None,
    folders=("/src/shop/web", "/src/shop"),
)
URL = "http://127.0.0.1:8484"


def grant(**more: object) -> SandboxGrant:
    plain: dict[str, object] = {
        "id": "sbx_1",
        "ticket": "rf_tkt_1",
        "socket": "/run/1.sock",
        "invocation": "inv_1",
        "token": TOKEN,
        "tier": SandboxTier.STRICT,
        "models": {"gpt": "openai", "sonnet": "anthropic"},
        "servers": ("crm", "files"),
        "own_tools": ("own",),
    }
    return SandboxGrant(**(plain | more))  # type: ignore[arg-type] # a grant's parts


def content(files: tuple[SandboxFile, ...], path: str) -> bytes:
    (found,) = [each.content for each in files if each.path == path]
    return found
