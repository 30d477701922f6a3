import asyncio
import threading
from dataclasses import replace

import pytest
from tests.api.event import intent, refusal
from tests.api.plane import Plane

from ringfence.api.application import create_app
from ringfence.stores.ledger.reader import LedgerReader


@pytest.fixture
def actions(plane: Plane) -> list[str]:
    """Three calls and a refusal, oldest first."""
    names = ["act_1", "act_2", "act_3"]
    for name in names:
        before = intent(plane, name)
        plane.write((before, b"the word is kumquat" if name == "act_2" else b"nothing"))
    plane.write(refusal(plane, "act_4"))
    return [*names, "act_4"]


def ids(plane: Plane, target: str) -> list[str]:
    return [each["action"] for each in plane.ask("GET", target).json()["items"]]


def test_events_come_newest_first_as_they_were_written(plane: Plane, actions: list[str]) -> None:
    items = plane.ask("GET", "audit/events").json()["items"]
    assert [each["action"] for each in items] == actions[::-1]
    assert items[0]["kind"] == "refusal"
    assert items[0]["decision"]["code"] == "out_of_scope"
    assert items[1]["reserved_nano"] == "50"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("kind=refusal", ["act_4"]),
        ("verdict=allow&limit=2", ["act_3", "act_2"]),
        ("code=out_of_scope", ["act_4"]),
        ("agent=triage&action=act_1", ["act_1"]),
        ("agent=nobody", []),
        ("invocation=inv_1&kind=refusal", ["act_4"]),
        ("text=kumquat", ["act_2"]),
    ],
)
def test_events_are_found_by_what_they_are(
    plane: Plane, actions: list[str], query: str, found: list[str]
) -> None:
    assert actions
    assert ids(plane, f"audit/events?{query}") == found


def test_events_are_found_by_time(plane: Plane, actions: list[str]) -> None:
    times = [int(each["time_us"]) for each in plane.ask("GET", "audit/events").json()["items"]]
    assert ids(plane, f"audit/events?since_us={times[1]}") == actions[:1:-1]
    assert ids(plane, f"audit/events?until_us={times[1]}") == actions[1::-1]


def test_pages_join_without_gap_or_repeat(plane: Plane, actions: list[str]) -> None:
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = plane.ask("GET", f"audit/events?limit=3&after={after}").json()
        seen += [each["action"] for each in page["items"]]
        after = page["next"]
    assert seen == actions[::-1]


@pytest.mark.parametrize("query", ["kind=rumour", "since_us=monday", "after=here"])
def test_a_wrong_filter_is_refused(plane: Plane, query: str) -> None:
    assert plane.ask("GET", f"audit/events?{query}").status == 400


def test_an_export_is_every_event_on_its_own_line_oldest_first(
    plane: Plane, actions: list[str]
) -> None:
    answer = plane.ask("GET", "audit/export")
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = answer.body.splitlines()
    newest_first = plane.ask("GET", "audit/events").body
    assert len(lines) == len(actions)
    assert all(line in newest_first for line in lines)
    assert [line.find(b"act_1") > 0 for line in lines] == [True, False, False, False]


def test_a_long_export_is_sent_in_pieces(plane: Plane) -> None:
    plane.write(*(refusal(plane, f"act_{number}") for number in range(1200)))
    answer = plane.ask("GET", "audit/export")
    assert [piece.count(b"\n") for piece in answer.pieces] == [500, 500, 200, 0]


def test_nothing_of_another_organisation_is_found(plane: Plane, actions: list[str]) -> None:
    assert actions
    foreign = refusal(plane, "act_foreign")
    foreign.organisation = "org_foreign"
    plane.write(foreign)
    for target in ("audit/events", "audit/events?action=act_foreign", "audit/export"):
        assert b"act_foreign" not in plane.ask("GET", target).body


def test_slow_searches_do_not_hold_up_a_suspension(plane: Plane) -> None:
    gate = threading.Event()

    def open_slowly() -> LedgerReader:
        gate.wait(60)
        return LedgerReader(plane.folder)

    plane.app = create_app(replace(plane.context, open_ledger=open_slowly))

    async def main() -> list[int]:
        searches = [asyncio.create_task(plane.send("GET", "audit/events")) for _ in range(20)]
        await asyncio.sleep(0)
        suspended = await plane.send("POST", "agents/triage/suspend")
        assert not any(search.done() for search in searches)
        gate.set()
        return [suspended.status, *{(await search).status for search in searches}]

    assert asyncio.run(main()) == [200, 200]
