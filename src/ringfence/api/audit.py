"""Routes about the record: events by filter, and the whole of them for an auditor."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, final

import msgspec
from msgspec import structs
from starlette.responses import Response, StreamingResponse

from ringfence.api.context import ChangeNote, ControlContext
from ringfence.api.route import (
    ADMIN,
    AUDITOR,
    VIEWER,
    AnyRoute,
    Call,
    Nothing,
    Page,
    PageSize,
    Route,
)
from ringfence.domain.error import UnavailableError, UsageError
from ringfence.domain.event import AnyEvent
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.ledger.query import Criteria, Filter, Kind, Place, Stored
from ringfence.stores.verification import ExportEvidence, prove

_BATCH_EVENTS = 500
_COVERED_TRIES = 50
_COVERED_PAUSE_S = 0.02
"""Checkpoints follow their events within some milliseconds; what is asked for may be newer."""
_LINES = "application/x-ndjson"


class EventQuery(Criteria, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events, and which part of their listing; `user` is a name or an id."""

    limit: PageSize = 100
    after: str = ""


class ExportQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the record, by time in UTC microseconds; `until_us` is exclusive."""

    since_us: int | None = None
    until_us: int | None = None
    evidence: bool = False
    """Whether lines follow that let the export be verified elsewhere."""


class ProofQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which event: an action's intent, outcome or refusal."""

    action: str
    kind: Kind | None = None


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """The public key that signs from now on."""

    key: str


async def list_events(call: Call[EventQuery, Nothing]) -> Page[msgspec.Raw]:
    """Events as they were written, newest first."""
    query = call.query
    if query.after:
        Place.parse(query.after)
    part: dict[str, Any] = {
        "organisation": call.organisation.id,
        "user": await user_id(call.context, call.organisation.id, query.user),
        "after": query.after or None,
        "limit": query.limit + 1,
    }
    asked = Filter(**(structs.asdict(query) | part))
    found = await call.context.scan(asked.organisation, partial(_find, call.context, asked))
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
    evidence: ExportEvidence | None = None
    if call.query.evidence:
        is_whole = call.query.since_us is None and call.query.until_us is None
        evidence = ExportEvidence(_keys(call.context), call.organisation.id, is_whole=is_whole)
    lines = _Lines(call.context, asked, evidence)
    first = await lines.next()  # what is wrong shows before the answer begins
    return StreamingResponse(lines.stream(first), media_type=_LINES)


async def user_id(context: ControlContext, organisation: str, user: str | None) -> str | None:
    """The id of a user who is asked for by name; whatever is no name is taken for an id."""
    if not user:
        return None
    names = await asyncio.to_thread(context.state.users.names, organisation)
    return next((known for known, name in names.items() if name == user), user)


async def proof(call: Call[ProofQuery, Nothing]) -> Response:
    """A proof that an event is in its log, for whoever has the public key."""
    asked = Filter(
        organisation=call.organisation.id, action=call.query.action, kind=call.query.kind, limit=1
    )
    found = await call.context.scan(asked.organisation, partial(_find, call.context, asked))
    if not found:
        raise UsageError("no_such_event", f"no event of action `{call.query.action}`")
    keys = _keys(call.context)
    work = partial(_prove_soon, keys.folder, found[0].leaf)
    return Response(await asyncio.to_thread(work), media_type="text/plain; charset=utf-8")


def _prove_soon(folder: Path, leaf: bytes) -> bytes:
    for _ in range(_COVERED_TRIES):
        with suppress(UnavailableError):
            return prove(folder, leaf)
        time.sleep(_COVERED_PAUSE_S)
    return prove(folder, leaf)


async def rotate_key(call: Call[Nothing, Nothing]) -> KeyView:
    """Sign with a fresh key; the old one vouches for it."""
    keys, context = _keys(call.context), call.context
    is_shared = len(context.configuration().organisations) > 1
    if is_shared and call.person.organisation is not None:
        raise UsageError(
            "local_only",
            "several organisations share this installation and its key",
            help="its operator changes it with `ringfence audit rotate-key`",
        )
    old = keys.current().verifier()
    new = (await asyncio.to_thread(keys.rotate, context.clock.now_us())).verifier()
    for organisation in context.configuration().organisations.values():
        note = ChangeNote(
            organisation=organisation.id,
            actor=call.person.actor,
            what="signing_key.rotated",
            subject=new.name,
            detail={"old": str(old), "new": str(new)},
        )
        await context.record(note)
    await asyncio.to_thread(context.vouch)
    return KeyView(key=str(new))


def _keys(context: ControlContext) -> SigningKeys:
    if context.keys is None:
        raise UsageError("not_signed", "this plane's record is not signed")
    return context.keys


def _find(context: ControlContext, asked: Filter) -> list[Stored]:
    if asked.text is not None:
        context.open_bodies().close()  # messages follow their events: wait for those so far
    reader = context.open_ledger()
    try:
        return list(reader.query(asked))
    finally:
        reader.close()


@final
class _Lines:
    """The record in batches of lines: bounded memory however long it is."""

    def __init__(
        self, context: ControlContext, asked: Filter, evidence: ExportEvidence | None
    ) -> None:
        self._lock = threading.Lock()  # a cancelled request closes while a thread may still read
        self._context = context
        self._asked = asked
        self._reader = context.open_ledger()
        self._found: Iterator[bytes] | None = None
        self._evidence = evidence

    def batch(self) -> bytes:
        """The next lines; empty at the end."""
        with self._lock:
            try:
                if self._found is None:
                    self._found = self._lines()
                return b"".join(islice(self._found, _BATCH_EVENTS))
            except BaseException:
                self._reader.close()
                raise

    def _lines(self) -> Iterator[bytes]:
        evidence = self._evidence
        for one in self._reader.query(self._asked):
            if evidence is not None:
                evidence.add(one.leaf)
            yield one.leaf + b"\n"
        if evidence is not None:
            for _ in range(_COVERED_TRIES):
                if evidence.is_covered():
                    break
                time.sleep(_COVERED_PAUSE_S)
            yield from evidence.lines()

    def close(self) -> None:
        with self._lock:
            self._found = iter(())
            self._reader.close()

    async def next(self) -> bytes:
        """The next lines, read in this organisation's turn; empty at the end."""
        return await self._context.scan(self._asked.organisation, self.batch)

    async def stream(self, first: bytes) -> AsyncIterator[bytes]:
        try:
            batch = first
            while batch:
                yield batch
                batch = await self.next()
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
    Route(
        method="GET",
        path="/audit/proof",
        summary="Prove that an event is in its log.",
        roles=AUDITOR,
        query=ProofQuery,
        body=Nothing,
        answer=Any,
        handler=proof,
        media_type="text/plain",
    ),
    Route(
        method="POST",
        path="/audit/key",
        summary="Sign checkpoints with a fresh key.",
        roles=ADMIN,
        query=Nothing,
        body=Nothing,
        answer=KeyView,
        handler=rotate_key,
        is_installation=True,
    ),
)
