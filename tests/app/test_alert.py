import asyncio
from dataclasses import replace

import msgspec
from tests.api.plane import organisation

from ringfence.api.context import ChangeNote
from ringfence.app.alert import BudgetAlerts
from ringfence.decisions.period import Line
from ringfence.domain.alert import AlertRules
from ringfence.domain.budget import AccountKey, BudgetScope, Per, Window
from ringfence.domain.money import ZERO, Money
from ringfence.domain.organisation import Organisation
from ringfence.transport.client import Pool
from ringfence.transport.http import Request, Response
from ringfence.transport.server import Server
from ringfence.transport.webhook import Webhook

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000


class Listener:
    """A real HTTP server that answers with the statuses it is given, then with 204."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.taken: list[dict[str, object]] = []
        self.tokens: list[bytes | None] = []

    async def handle(self, request: Request, response: Response) -> None:
        body = await request.read(100_000)
        status = self.statuses.pop(0) if self.statuses else 204
        if status == 204:
            self.taken.append(msgspec.json.decode(body))
            self.tokens.append(request.header(b"authorization"))
        response.send(status, [], b"")


def line(spent: int, holder: str = "agt_1") -> Line:
    key = AccountKey("org_1", BudgetScope.AGENT, holder, Per.DAY)
    return Line(key, Window(0, DAY_US), Money(1_000_000_000), Money(spent), ZERO, ZERO)


def acme(port: int) -> Organisation:
    made = organisation("acme")
    agents = {"triage": replace(made.agents["triage"], id="agt_1")}
    rules = AlertRules(webhook=f"http://127.0.0.1:{port}/hook?to=us", credential="HOOK")
    return replace(made, id="org_1", agents=agents, alerts=rules)


async def settled(webhook: Webhook, count: int) -> None:
    """Wait until so many messages were sent or dropped."""
    async with asyncio.timeout(60):
        while webhook.sent + webhook.dropped < count:  # noqa: ASYNC110 (it counts, it tells nobody)
            await asyncio.sleep(0.01)


async def told(listener: Listener, *spent: int) -> tuple[list[ChangeNote], list[int]]:
    """Look once for each amount, an hour apart from 20:00; the notes, and (sent, dropped)."""
    server, pool = Server(listener.handle), Pool()
    port = await server.listen("127.0.0.1", 0)
    books: dict[str, list[Line]] = {"org_1": []}
    notes: list[ChangeNote] = []
    opened: list[Webhook] = []

    async def read(organisation_id: str) -> list[Line]:
        return books[organisation_id]

    async def record(note: ChangeNote) -> None:
        notes.append(note)

    def open_webhook(rules: AlertRules) -> Webhook:
        webhook = Webhook(pool, rules.webhook, lambda: "hush", pauses_s=(0.01, 0.01))
        webhook.start()
        opened.append(webhook)
        return webhook

    alerts = BudgetAlerts(read, record, open_webhook)
    await alerts.begin([acme(port)], 20 * HOUR_US)
    for hour, each in enumerate(spent, 20):
        books["org_1"] = [line(each)]
        await alerts.look([acme(port)], hour * HOUR_US)
    if opened:
        await settled(opened[0], len(notes))
    await alerts.stop()
    counts = [sum(each.sent for each in opened), sum(each.dropped for each in opened)]
    await pool.close()
    await server.close()
    return notes, counts


def test_an_alert_is_recorded_and_sent_with_everything_that_one_must_know() -> None:
    listener = Listener()
    notes, counts = asyncio.run(told(listener, 100_000_000, 510_000_000))
    kinds = [note.detail["kind"] for note in notes]
    assert (notes[0].what, notes[0].subject) == ("budget.alerted", "agt_1")
    assert "share" in kinds
    assert counts == [len(notes), 0]
    (share,) = [each for each in listener.taken if each["type"] == "budget.share"]
    assert share["text"] == (
        "50 % of the budget of agent `triage` per day is used: $0.51 of $1.00 spent"
    )
    assert (share["organisation"], share["holder"], share["percent"]) == ("acme", "triage", 50)
    assert share["resets_at_us"] == str(DAY_US)
    assert set(listener.tokens) == {b"Bearer hush"}


def test_what_is_not_taken_is_sent_again() -> None:
    listener = Listener(500, 503)
    notes, counts = asyncio.run(told(listener, 510_000_000))
    assert counts == [len(notes), 0]
    assert len(listener.taken) == len(notes)


def test_what_is_never_taken_is_dropped_and_still_on_the_record() -> None:
    listener = Listener(*[500] * 20)
    notes, counts = asyncio.run(told(listener, 100_000_000, 100_000_000, 510_000_000))
    assert notes
    assert counts[1] == len(notes)


def test_nothing_is_sent_where_nothing_is_new() -> None:
    notes, counts = asyncio.run(told(Listener(), 10_000_000, 10_000_000))
    assert (notes, counts) == ([], [0, 0])
