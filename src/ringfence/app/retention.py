"""Run retention in the background: one small step at a time, with a rest after each."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, final

from ringfence.api.context import ChangeNote
from ringfence.domain.event import PLANE
from ringfence.domain.organisation import Organisation
from ringfence.stores.approval import EndedApprovals
from ringfence.stores.retention import Deleted, Retention, Term
from ringfence.transport.clock import Clock

_LOG = logging.getLogger(__name__)

_EVERY_S: Final = 600.0
_REST_S: Final = 0.05
_HOUR_US: Final = 3600 * 1_000_000
_DAY_US: Final = 24 * _HOUR_US
_JUMP_US: Final = 12 * _HOUR_US
"""Time that a machine slept counts as a jump too, but nobody waits for a deletion."""

Record = Callable[[ChangeNote], Awaitable[None]]


@final
class RetentionWork:
    """Deletes what organisations no longer want kept, and puts each deletion on the record."""

    def __init__(
        self,
        retention: Retention,
        approvals: EndedApprovals,
        clock: Clock,
        organisations: Callable[[], Sequence[Organisation]],
        record: Record,
    ) -> None:
        """Nothing runs before `run`."""
        self._retention = retention
        self._approvals = approvals
        self._clock = clock
        self._began_us = clock.now_us() - clock.monotonic_us()
        self._organisations = organisations
        self._record = record

    async def run(self) -> None:
        """Go over everything now and then, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self.pass_over()
            except Exception:  # noqa: BLE001 (the next pass may do better; nothing is half deleted)
                _LOG.exception("retention failed; it is tried again")

    async def pass_over(self, *, rest_s: float = _REST_S) -> None:
        """Go over all logs and held calls once."""
        terms = _terms(self._organisations())
        if not terms or self._has_jumped():
            return
        now_us = self._clock.now_us()
        forgetting = self._approvals.run(terms, now_us)
        while (forgotten := await asyncio.to_thread(next, forgetting, None)) is not None:
            await self._tell_forgotten(*forgotten)
            await asyncio.sleep(rest_s)
        steps = self._retention.run(terms, now_us)
        while (deleted := await asyncio.to_thread(next, steps, None)) is not None:
            await self._tell(deleted)
            await asyncio.sleep(rest_s)

    def _has_jumped(self) -> bool:
        """Whether the clock was set far ahead since the start: it must not delete what is young."""
        jumped_us = self._clock.now_us() - self._clock.monotonic_us() - self._began_us
        if jumped_us <= _JUMP_US:
            return False
        _LOG.error(
            "nothing is deleted: the clock was set ahead while the plane ran; restart it if the "
            "clock is right now",
            extra={"hours": jumped_us // _HOUR_US},
        )
        return True

    async def _tell_forgotten(self, organisation: str, count: int) -> None:
        if count:
            await self._note(organisation, "approvals", {"held_calls": str(count)})

    async def _tell(self, deleted: Mapping[str, Deleted]) -> None:
        for organisation, one in deleted.items():
            spans = ",".join(f"{span.first}-{span.last}" for span in one.events)
            detail = {"bodies": str(one.bodies), "events": spans}
            said = {name: value for name, value in detail.items() if value not in {"", "0"}}
            await self._note(organisation, one.log, said)

    async def _note(self, organisation: str, subject: str, detail: Mapping[str, str]) -> None:
        note = ChangeNote(
            organisation=organisation,
            actor=PLANE,
            what="retention.deleted",
            subject=subject,
            detail=detail,
        )
        await self._record(note)


def _terms(organisations: Sequence[Organisation]) -> dict[str, Term]:
    return {
        each.id: Term(
            body_us=_us(each.retention.body_days), event_us=_us(each.retention.event_days)
        )
        for each in organisations
        if each.retention.body_days is not None or each.retention.event_days is not None
    }


def _us(days: int | None) -> int | None:
    return None if days is None else days * _DAY_US
