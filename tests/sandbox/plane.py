"""A plane for monitors: a worker in memory behind a real run socket."""

import asyncio
from pathlib import Path

from tests.enforcement.test_sandbox_registry import Yard

from ringfence.app.sandbox_socket import SandboxSocket
from ringfence.domain.agent import Agent, SandboxTier
from ringfence.domain.monitoring import (
    CallRefused,
    Changed,
    Evidence,
    ExecAnswer,
    ExecAsked,
    ExecDiffers,
    Exited,
    Join,
    LateCodeFound,
)
from ringfence.enforcement.sandbox import LiveSandbox
from ringfence.sandbox.plane_message import VERSION


class Watch:
    """Allows every command but `rm`, and has a person asked about `wait` who never says a word."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        self._never = asyncio.Event()

    async def asked(self, sandbox: LiveSandbox, asked: ExecAsked) -> ExecAnswer:
        self.told.append((sandbox.id, asked))
        await (self._never.wait() if asked.path.endswith("/wait") else asyncio.sleep(0))
        return ExecAnswer(id=asked.id, is_allowed=not asked.path.endswith("/rm"))

    def exited(self, sandbox: LiveSandbox, exited: Exited) -> None:
        self.told.append((sandbox.id, exited))

    def differs(self, sandbox: LiveSandbox, differs: ExecDiffers) -> None:
        self.told.append((sandbox.id, differs))

    def call_refused(self, sandbox: LiveSandbox, refused: CallRefused) -> None:
        self.told.append((sandbox.id, refused))

    def evidence(self, sandbox: LiveSandbox, evidence: Evidence) -> None:
        self.told.append((sandbox.id, evidence))

    def late_code(self, sandbox: LiveSandbox, found: LateCodeFound) -> None:
        self.told.append((sandbox.id, found))

    def changed(self, sandbox: LiveSandbox, changed: Changed) -> None:
        self.told.append((sandbox.id, changed))


class Plane:
    """Made inside a running loop."""

    def __init__(self, folder: Path, of: Agent | None = None) -> None:
        self.yard = Yard(of)
        self.watch = Watch()
        self.path = folder / "sandboxes" / "1.sock"
        self.socket = SandboxSocket(self.yard.sandboxes, self.watch)
        self.socket.listen(self.path)

    @property
    def told(self) -> list[str]:
        """What was recorded and served, in order."""
        return self.yard.record.told

    async def close(self) -> None:
        await self.socket.close()


def join_of(ticket: str, tier: SandboxTier = SandboxTier.STRICT, pid: int = 7) -> Join:
    return Join(
        version=VERSION, ticket=ticket, tier=tier, pid=pid, plan="ab", binds=("ro /usr",), kinds=()
    )
