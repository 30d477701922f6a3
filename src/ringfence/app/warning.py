"""What goes wrong without stopping anybody: told to the log, to `/readyz` and on the record."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, final

from ringfence.app.witness import Witnesses
from ringfence.domain.error import RingfenceError

_LOG = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints_failing"
WITNESS = "witness_behind"

Note = Callable[[str, str, str], Awaitable[None]]
"""Puts on the record what happened (`warning.raised`, `warning.cleared`), the warning, and why."""


class Signing(Protocol):
    """What is watched of a keeper; `stores.checkpoint.Keeper` implements it."""

    failure: RingfenceError | None


@final
class Warnings:
    """Watches what signs checkpoints and what copies them; each change is told once."""

    def __init__(self, signing: Signing, witnesses: Witnesses, note: Note) -> None:
        """Begin with nothing wrong."""
        self._signing = signing
        self._witnesses = witnesses
        self._note = note
        self._raised: dict[str, str] = {}

    @property
    def raised(self) -> Sequence[str]:
        """The warnings that hold now, as words that tell nothing of anybody."""
        return sorted(self._raised)

    async def observe(self) -> None:
        """Look, and tell what has changed; call every few seconds."""
        now = self._look()
        for warning in now.keys() - self._raised.keys():
            _LOG.warning("%s: %s", warning, now[warning])
            self._raised[warning] = now[warning]
            await self._note("warning.raised", warning, now[warning])
        for warning in self._raised.keys() - now.keys():
            _LOG.info("%s no longer", warning)
            del self._raised[warning]
            await self._note("warning.cleared", warning, "")

    def _look(self) -> dict[str, str]:
        now: dict[str, str] = {}
        if self._signing.failure is not None:
            now[CHECKPOINTS] = str(self._signing.failure)
        behind = self._witnesses.behind
        if behind:
            now[WITNESS] = f"{len(behind)} witnesses do not have the newest checkpoints"
        return now
