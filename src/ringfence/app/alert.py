"""Budget alerts: looks at the books now and then, puts what is new on the record, and sends it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import final

import msgspec

from ringfence.api.context import ChangeNote
from ringfence.app.webhook import Webhooks
from ringfence.decisions.alert import Alarms, Alert, AlertKind
from ringfence.decisions.period import Line
from ringfence.domain.alert import AlertRules
from ringfence.domain.budget import BudgetScope
from ringfence.domain.money import format_usd
from ringfence.domain.organisation import Organisation
from ringfence.transport.clock import Clock
from ringfence.transport.http import Requester
from ringfence.transport.webhook import Webhook

_LOG = logging.getLogger(__name__)

_LOOK_EVERY_S = 10.0

ReadLines = Callable[[str], Awaitable[Sequence[Line]]]
"""The books of an organisation, by its id."""
Record = Callable[[ChangeNote], Awaitable[None]]
OpenWebhook = Callable[[AlertRules], Webhook | None]
"""A started webhook; None for rules that name none."""


class AlertDocument(msgspec.Struct, kw_only=True, frozen=True):
    """What a webhook is sent. Money in nano-dollars and times in UTC microseconds, as strings.

    `text` says it all in one line, under the name that chat services show.
    """

    type: str
    text: str
    organisation: str
    scope: str
    holder: str
    per: str
    percent: int
    spent_nano: str
    limit_nano: str
    resets_at_us: str | None
    runs_out_us: str | None
    time_us: str


@final
class BudgetAlerts:
    """Watches the budgets of every organisation; one for each plane."""

    def __init__(self, read_lines: ReadLines, record: Record, open_webhook: OpenWebhook) -> None:
        """Nothing is watched before `look` has seen an organisation."""
        self._read_lines = read_lines
        self._record = record
        self._alarms: dict[str, Alarms] = {}
        self._webhooks = Webhooks(open_webhook)

    async def run(self, organisations: Callable[[], Sequence[Organisation]], clock: Clock) -> None:
        """Look now and then until cancelled; a failure is told, and the next look may do better."""
        try:
            await self.begin(organisations(), clock.now_us())
            while True:
                await asyncio.sleep(_LOOK_EVERY_S)
                try:
                    await self.look(organisations(), clock.now_us())
                except Exception:  # noqa: BLE001 (alerts must outlive whatever hinders them)
                    _LOG.exception("looking at the budgets failed; it is tried again")
        finally:
            await self.stop()

    async def begin(self, organisations: Sequence[Organisation], now_us: int) -> None:
        """Take what a restart found spent as told before."""
        for each in organisations:
            alarms = self._alarms[each.id] = Alarms()
            alarms.begin(await self._read_lines(each.id), each.alerts.percents, now_us)

    async def look(self, organisations: Sequence[Organisation], now_us: int) -> None:
        """Record and send what is new. Raises UnavailableError if it cannot be recorded."""
        for each in organisations:
            alarms = self._alarms.setdefault(each.id, Alarms())
            lines = await self._read_lines(each.id)
            for alert in alarms.observe(lines, each.alerts.percents, now_us):
                document = describe(alert, each, now_us)
                webhook = await self._webhooks.of(each.id, each.alerts)
                if webhook is not None:
                    webhook.put(msgspec.json.encode(document))
                await self._record(_note(document, each, alert))

    async def stop(self) -> None:
        """Send nothing any more."""
        await self._webhooks.stop()


def opened(client: Requester, secret: Callable[[str], str], rules: AlertRules) -> Webhook | None:
    """A started webhook, if one is named; its credential is looked up anew for each message."""
    if not rules.webhook:
        return None
    name = rules.credential
    webhook = Webhook(client, rules.webhook, lambda: "" if name is None else secret(name))
    webhook.start()
    return webhook


def describe(alert: Alert, organisation: Organisation, now_us: int) -> AlertDocument:
    """An alert as it is sent."""
    line, end_us = alert.line, alert.line.window.end_us
    holder = _name(organisation, line)
    return AlertDocument(
        type=f"budget.{alert.kind}",
        text=_text(alert, holder),
        organisation=organisation.name,
        scope=line.key.scope.value,
        holder=holder,
        per=line.key.per.value,
        percent=alert.percent,
        spent_nano=str(line.spent),
        limit_nano=str(line.limit),
        resets_at_us=None if end_us is None else str(end_us),
        runs_out_us=None if alert.runs_out_us is None else str(alert.runs_out_us),
        time_us=str(now_us),
    )


def _text(alert: Alert, holder: str) -> str:
    line = alert.line
    whose = f"the budget of {line.key.scope} `{holder}` per {line.key.per}"
    state = f"{format_usd(line.spent)} of {format_usd(line.limit)} spent"
    match alert.kind:
        case AlertKind.SHARE:
            return f"{alert.percent} % of {whose} is used: {state}"
        case AlertKind.BURN:
            return f"{whose} is being spent many times faster than evenly: {state}"
        case AlertKind.FORECAST:
            return f"{whose} will be used up before its window ends: {state}"


def _name(organisation: Organisation, line: Line) -> str:
    """The holder's name; its id for one that no file names any more."""
    if line.key.scope is BudgetScope.ORGANISATION:
        return organisation.name
    names = {
        **{each.id: each.name for each in organisation.teams.values()},
        **{each.id: each.name for each in organisation.users.values()},
        **{each.id: each.name for each in organisation.agents.values()},
    }
    return names.get(line.key.holder, line.key.holder)


def _note(document: AlertDocument, organisation: Organisation, alert: Alert) -> ChangeNote:
    return ChangeNote(
        organisation=organisation.id,
        actor="plane",
        what="budget.alerted",
        subject=alert.line.key.holder,
        detail={
            "kind": alert.kind.value,
            "scope": document.scope,
            "per": document.per,
            "percent": str(document.percent),
            "spent_nano": document.spent_nano,
            "limit_nano": document.limit_nano,
        },
    )
