"""The sandboxes of one worker: what serves and watches them, put together."""

import asyncio
from pathlib import Path
from typing import final

from ringfence.app.egress import EgressParts
from ringfence.app.sandbox_socket import SandboxSocket
from ringfence.app.shell import ShellParts
from ringfence.domain.sandbox import SandboxEnd
from ringfence.enforcement.credential_injection import Injections
from ringfence.enforcement.directory import Directory
from ringfence.enforcement.invocation import Invocations
from ringfence.enforcement.record import Ledger
from ringfence.enforcement.sandbox_registry import Sandboxes, SandboxParts
from ringfence.gateways.data_plane import DataPlane
from ringfence.gateways.sandbox import GatewayDoor
from ringfence.sandbox import control_group
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids

_STOPS = "the plane stops"


@final
class Sandboxing:
    """The registry of sandboxes, the doors on their listeners, and where their monitors join."""

    def __init__(  # noqa: PLR0913 (the parts that it joins)
        self,
        *,
        directory: Directory,
        invocations: Invocations,
        ledger: Ledger,
        clock: Clock,
        ids: Ids,
        data_plane: DataPlane,
        injections: Injections,
        egress: EgressParts,
        shell: ShellParts,
        socket: str,
    ) -> None:
        """Nobody joins before `listen`. `socket` is told to monitors."""
        self.injections = injections
        self._commands = shell.door
        self.registry = Sandboxes(
            SandboxParts(
                directory=directory,
                invocations=invocations,
                ledger=ledger,
                clock=clock,
                ids=ids,
                record=shell.record,
                doors=(GatewayDoor(data_plane), egress.door, shell.door),
                authority=egress.authority,
                holders=injections.placeholders,
            ),
            socket,
        )
        self._path = Path(socket)
        self._monitors: SandboxSocket | None = None

    async def listen(self) -> None:
        """Let monitors join. Raises UsageError `data_folder_unusable`.

        What sandboxes before left behind is ended first, in a thread: it waits until the kernel has
        ended what it was told to.
        """
        await asyncio.to_thread(control_group.sweep)
        self._monitors = SandboxSocket(self.registry, self._commands)
        self._monitors.listen(self._path)

    async def stop(self) -> None:
        """End every sandbox on the record, and let nobody join any more."""
        if self._monitors is not None:
            self._monitors.shut()
        await self.registry.close_all(SandboxEnd.PLANE_STOPPED, _STOPS)
        if self._monitors is not None:
            await self._monitors.close()


def run_socket(folder: Path, worker: int) -> str:
    """Where the monitors of a worker's sandboxes join it, in a data folder."""
    return str(folder.absolute() / "sandboxes" / f"{worker}.sock")
