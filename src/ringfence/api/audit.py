"""Routes about the record: events by filter, and the whole of them for an auditor."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import islice
from typing import Any, final

import msgspec
from msgspec import structs
from starlette.responses import StreamingResponse

from ringfence.api.context import ControlContext
from ringfence.api.route import AUDITOR, VIEWER, AnyRoute, Call, Nothing, Page, PageSize, Route
from ringfence.domain.event import AnyEvent
from ringfence.stores.ledger.query import Criteria, Filter, Place, Stored

_BATCH_EVENTS = 500
_LINES = "application/x-ndjson"


class EventQuery(Criteria, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events, and which part of their listing; `user` is a name or an id."""

    limit: PageSize = 100
    after: str = ""


class ExportQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the record, by time in UTC microseconds; `until_us` is exclusive."""

    since_us: int | None = None
    until_us: int | None = None


async def list_events(call: Call[EventQuery, Nothing]) -> Page[msgspec.Raw]:
    """Events as they were written, newest first."""
    query = call.query
    if query.after:
        Place.parse(query.after)
    part: dict[str, Any] = {
        "organisation": call.organisation.id,
        "user": await _user_id(call.context, call.organisation.id, query.user),
        "after": query.after or None,
        "limit": query.limit + 1,
    }
    asked = Filter(**(structs.asdict(query) | part))
    found = await call.context.scan(partial(_find, call.context, asked))
    shown = found[: query.limit]
    return Page(
        items=[msgspec.Raw(one.leaf) for one in shown],
        next=shown[-1].cursor if len(found) > len(shown) else None,
    )


async def export(call: Call[ExportQuery, Nothing]) -> StreamingResponse:
    """Every event on a line of its own, oldest first. A cut answer is an incomplete export."""
    asked = Filter(
        organisation=call.organisation.id,
        since_us=call.query.since_us,
        until_us=call.query.until_us,
        is_newest_first=False,
    )
    lines = _Lines(call.context, asked)
    first = await call.context.scan(lines.batch)  # what is wrong shows before the answer begins
    return StreamingResponse(lines.stream(first), media_type=_LINES)


async def _user_id(context: ControlContext, organisation: str, user: str | None) -> str | None:
    """The id of a user who is asked for by name; whatever is no name is taken for an id."""
    if not user:
        return None
    names = await asyncio.to_thread(context.state.users.names, organisation)
    return next((known for known, name in names.items() if name == user), user)


def _find(context: ControlContext, asked: Filter) -> list[Stored]:
    reader = context.open_ledger()
    try:
        return list(reader.query(asked))
    finally:
        reader.close()


@final
class _Lines:
    """The record in batches of lines: bounded memory however long it is."""

    def __init__(self, context: ControlContext, asked: Filter) -> None:
        self._lock = threading.Lock()  # a cancelled request closes while a thread may still read
        self._context = context
        self._asked = asked
        self._reader = context.open_ledger()
        self._found: Iterator[Stored] | None = None

    def batch(self) -> bytes:
        """The next lines; empty at the end."""
        with self._lock:
            try:
                if self._found is None:
                    self._found = self._reader.query(self._asked)
                return b"".join(one.leaf + b"\n" for one in islice(self._found, _BATCH_EVENTS))
            except BaseException:
                self._reader.close()
                raise

    def close(self) -> None:
        with self._lock:
            self._found = iter(())
            self._reader.close()

    async def stream(self, first: bytes) -> AsyncIterator[bytes]:
        try:
            batch = first
            while batch:
                yield batch
                batch = await self._context.scan(self.batch)
        finally:
            self.close()


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/audit/events",
        summary="Find events of the ledger, newest first.",
        roles=VIEWER,
        query=EventQuery,
        body=Nothing,
        answer=Page[AnyEvent],
        handler=list_events,
    ),
    Route(
        method="GET",
        path="/audit/export",
        summary="Export the ledger as JSON lines, oldest first.",
        roles=AUDITOR,
        query=ExportQuery,
        body=Nothing,
        answer=Any,
        handler=export,
        media_type=_LINES,
    ),
)
