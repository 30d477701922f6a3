import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

from tests.stores.ledger.event import change, intent, outcome, refusal

from ringfence.domain.event import AnyEvent, spoken_in
from ringfence.stores.body import Body, BodyReader, BodyStore, Part
from ringfence.stores.ledger import Fence, LedgerReader, LedgerWriter
from ringfence.stores.ledger.format import decode
from ringfence.stores.ledger.masking import Mask, Masking
from ringfence.stores.ledger.query import Filter
from ringfence.stores.ledger.sqlite import SqliteLog


def cover(body: Body) -> tuple[Body, dict[str, int]]:
    assert threading.current_thread() is not threading.main_thread()
    count = body.whole.count(b"jane")
    return Body(body.whole.replace(b"jane", b"****")), {"who": count} if count else {}


def fail(body: Body) -> tuple[Body, dict[str, int]]:
    raise ValueError(body)


def written(
    folder: Path, masks: dict[str, Mask], story: Callable[[LedgerWriter], object]
) -> list[AnyEvent]:
    """What a writer wrote; its close waits for what is being masked."""

    async def run() -> None:
        bodies = BodyStore.open(folder)
        masking = Masking()
        masking.install(masks)
        writer = LedgerWriter(SqliteLog.open(Fence.take(folder, "log_1")), bodies, masking)
        told = story(writer)
        if isinstance(told, asyncio.Future):
            await told
        await writer.close()
        bodies.close()

    asyncio.run(run())
    reader = LedgerReader(folder)
    asked = Filter(organisation="org_a", is_newest_first=False)
    events = [decode(one.leaf) for one in reader.query(asked)]
    reader.close()
    return events


def stored(folder: Path, event: AnyEvent, part: Part = Part.REQUEST) -> bytes | None:
    reader = BodyReader(folder)
    try:
        kept = reader.get("org_a", spoken_in(event), part)
        if kept is not None:
            assert reader.holds("org_a", spoken_in(event), part, event.body)
        return kept
    finally:
        reader.close()


def test_bodies_are_masked_before_they_are_committed_to(tmp_path: Path) -> None:
    one = intent("act_1")

    def story(writer: LedgerWriter) -> object:
        done = writer.intend(one, Body(b"ask jane and jane"))
        done.add_done_callback(lambda _: writer.record(outcome(one), Body(b"jane says")))
        writer.record(refusal("act_2"), Body(b"no jane"))
        return done

    events = written(tmp_path, {"org_a": cover}, story)
    by_kind = {type(event).__name__: event for event in events}
    assert by_kind.keys() == {"Intent", "Outcome", "Refusal"}
    assert [by_kind[name].masked for name in ("Intent", "Outcome", "Refusal")] == [
        {"who": 2},
        {"who": 1},
        {"who": 1},
    ]
    assert stored(tmp_path, by_kind["Intent"]) == b"ask **** and ****"
    assert stored(tmp_path, by_kind["Outcome"], Part.RESPONSE) == b"**** says"
    assert b"jane" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*.db*"))


def test_other_organisations_and_plain_messages_are_left(tmp_path: Path) -> None:
    for masks, text in (({"org_b": cover}, b"ask jane"), ({"org_a": cover}, b"ask joan")):
        folder = tmp_path / text.decode()
        folder.mkdir()
        (event,) = written(
            folder,
            dict(masks),
            lambda writer, text=text: writer.intend(intent("act_1"), Body(text)),  # type: ignore[misc] # of a loop
        )
        assert event.masked == {}
        assert stored(folder, event) == text


def test_what_cannot_be_masked_is_not_kept(tmp_path: Path) -> None:
    (event,) = written(
        tmp_path,
        {"org_a": fail},
        lambda writer: writer.intend(intent("act_1"), Body(b"ask jane")),
    )
    assert event.masked == {"failed": 1}
    assert event.body == ""
    assert stored(tmp_path, event) is None


def test_a_task_is_masked_where_it_is_declared(tmp_path: Path) -> None:
    declared = change("invocation.opened", "inv_1")
    (event,) = written(
        tmp_path, {"org_a": cover}, lambda writer: writer.record(declared, Body(b"call jane"))
    )
    assert event.masked == {"who": 1}
    assert stored(tmp_path, event) == b"call ****"


def test_a_flush_waits_for_what_is_being_masked(tmp_path: Path) -> None:
    def story(writer: LedgerWriter) -> object:
        writer.record(refusal("act_1"), Body(b"jane"))
        flushed = asyncio.ensure_future(writer.flush())
        flushed.add_done_callback(lambda _: seen.append(writer.events))
        return flushed

    seen: list[int] = []
    written(tmp_path, {"org_a": cover}, story)
    assert seen == [1]
