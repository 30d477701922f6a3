"""What a plane itself puts on record: epochs, warnings, and that its folder was restored."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import final

from ringfence.api.context import ChangeNote
from ringfence.app.change import change_of
from ringfence.domain.organisation import Configuration
from ringfence.stores.backup import forget_restored, read_restored
from ringfence.stores.ledger import LedgerWriter
from ringfence.transport.clock import Clock

_LOG = logging.getLogger(__name__)


@final
class PlaneNotes:
    """Writes them into the record of each organisation that they concern."""

    def __init__(
        self, ledger: LedgerWriter, clock: Clock, configuration: Callable[[], Configuration]
    ) -> None:
        """`configuration` gives the one in force, which a note names."""
        self._ledger = ledger
        self._clock = clock
        self._configuration = configuration

    async def record(self, note: ChangeNote) -> None:
        """Return when it is durable. Raises UnavailableError."""
        change = change_of(note, self._configuration(), self._clock.now_us())
        await self._ledger.append(change)

    async def epoch(
        self, configuration: Configuration, actor: str, before: Configuration | None = None
    ) -> None:
        """Record the epoch for each organisation, or for those whose own content has changed."""
        known = before.organisations if before is not None else {}
        for name, organisation in configuration.organisations.items():
            if name in known and known[name].digest == organisation.digest:
                continue
            await self.record(
                ChangeNote(
                    organisation=organisation.id,
                    actor=actor,
                    what="configuration.loaded",
                    subject=organisation.id,
                    detail={"epoch": str(configuration.epoch)},
                )
            )

    def warning(self, what: str, warning: str, why: str) -> None:
        """Written when the ledger can be, with the time that it is now."""
        configuration = self._configuration()
        for organisation in configuration.organisations.values():
            note = ChangeNote(
                organisation=organisation.id,
                actor="plane",
                what=what,
                subject=warning,
                detail={"why": why} if why else {},
            )
            self._ledger.record(change_of(note, configuration, self._clock.now_us()))

    async def restored(self, folder: Path) -> None:
        """Put on the record that the data folder is an older copy, once."""
        restored = read_restored(folder)
        if restored is None:
            return
        _LOG.warning("this data folder was restored from a backup; a new log is begun")
        for organisation in self._configuration().organisations.values():
            await self.record(
                ChangeNote(
                    organisation=organisation.id,
                    actor="plane",
                    what="installation.restored",
                    subject=organisation.id,
                    detail={"backup_us": restored.created_us, "restored_us": restored.restored_us},
                )
            )
        forget_restored(folder)
