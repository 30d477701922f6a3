"""Held calls of a plane: who may approve them, and who is told what becomes of them."""

import logging
from collections.abc import Awaitable, Callable
from typing import final

import msgspec

from ringfence.api.context import ChangeNote
from ringfence.app.webhook import Webhooks
from ringfence.decisions import access
from ringfence.domain.approval import Approval, ApprovalRules, WebhookForm
from ringfence.domain.error import RingfenceError
from ringfence.domain.event import PLANE
from ringfence.domain.organisation import Configuration, Organisation, Role
from ringfence.transport.http import Requester
from ringfence.transport.webhook import Webhook

_LOG = logging.getLogger(__name__)

REQUESTED = "approval.requested"
ESCALATED = "approval.escalated"
_NEWS = {
    REQUESTED: "waits for an approval",
    ESCALATED: "still waits for an approval",
    "approval.expired": "was not approved in time and is denied",
    "approval.withdrawn": "needs no approval any more",
}

Configured = Callable[[], Configuration]
Record = Callable[[ChangeNote], Awaitable[None]]


class ApprovalDocument(msgspec.Struct, kw_only=True, frozen=True):
    """What a webhook is sent: a pointer to a held call. Times in UTC microseconds, as strings.

    It holds no arguments: they may be secret, and who approves must see them on the plane itself.
    """

    type: str
    text: str
    organisation: str
    approval: str
    agent: str
    resource: str
    reasons: list[str]
    notify: str
    """Who should look at it: the agent's escalation contact once nobody else has answered."""
    fingerprint: str
    expires_us: str
    page: str = ""
    """Where people look at it, if the configuration names a page."""


class SlackText(msgspec.Struct, kw_only=True, frozen=True):
    """What services that are compatible with Slack's incoming webhooks show."""

    text: str


@final
class Approvers:
    """Who may approve, by the configuration in force: a role that is taken away counts no more."""

    def __init__(self, configuration: Configured) -> None:
        """Keep the way to the configuration."""
        self._configuration = configuration

    def __call__(self, organisation: str) -> frozenset[str]:
        """The users of an organisation who may approve, as `user:<id>`."""
        found = _organisation(self._configuration(), organisation)
        users = found.users.values() if found is not None else ()
        needed = frozenset({Role.APPROVER})
        return frozenset(f"user:{each.id}" for each in users if access.allows(each.roles, needed))


@final
class ApprovalNews:
    """Puts on record, and sends, what becomes of held calls without a person's doing."""

    def __init__(
        self,
        configuration: Configured,
        record: Record,
        open_webhook: Callable[[ApprovalRules], Webhook | None],
    ) -> None:
        """Nothing is sent before there is something to tell."""
        self._configuration = configuration
        self._record = record
        self._webhooks = Webhooks(open_webhook)

    async def tell(self, what: str, approval: Approval) -> None:
        """Tell whoever must know. What cannot be recorded is logged: the call is held all the same.

        That a call is held stands on record already, as an event of the agent's.
        """
        organisation = _organisation(self._configuration(), approval.binding.organisation)
        if organisation is None:
            return
        webhook = await self._webhooks.of(organisation.id, organisation.approvals)
        if webhook is not None and what in _NEWS:
            webhook.put(_message(what, approval, organisation))
        if what == REQUESTED:
            return
        try:
            await self._record(_note(what, approval))
        except RingfenceError:
            _LOG.exception("what became of a held call cannot be recorded")

    async def stop(self) -> None:
        """Send nothing any more."""
        await self._webhooks.stop()


def opened(client: Requester, secret: Callable[[str], str], rules: ApprovalRules) -> Webhook | None:
    """A started webhook, if the rules name one; its secrets are looked up for each message."""
    if not rules.webhook:
        return None
    credential, signing_key = rules.credential, rules.signing_key
    webhook = Webhook(
        client,
        rules.webhook,
        lambda: "" if credential is None else secret(credential),
        signing_key=lambda: "" if signing_key is None else secret(signing_key),
    )
    webhook.start()
    return webhook


def describe(what: str, approval: Approval, organisation: Organisation) -> ApprovalDocument:
    """A held call as a webhook tells of it."""
    binding = approval.binding
    is_late = what == ESCALATED
    agent = organisation.agents.get(approval.agent_name)
    notify = approval.escalate_to if is_late else (agent.owner if agent is not None else "")
    page = organisation.approvals.page.replace("{id}", approval.id)
    why = f" ({'; '.join(approval.reasons)})" if approval.reasons else ""
    return ApprovalDocument(
        type=what,
        text=f"agent `{approval.agent_name}`: `{binding.resource}` {_NEWS[what]}{why}. "
        f"See: {page or f'ringfence approval show {approval.id}'}",
        organisation=organisation.name,
        approval=approval.id,
        agent=approval.agent_name,
        resource=binding.resource,
        reasons=list(approval.reasons),
        notify=notify,
        fingerprint=approval.fingerprint,
        expires_us=str(approval.expires_us),
        page=page,
    )


def _message(what: str, approval: Approval, organisation: Organisation) -> bytes:
    document = describe(what, approval, organisation)
    match organisation.approvals.form:
        case WebhookForm.PLAIN:
            return msgspec.json.encode(document)
        case WebhookForm.SLACK:
            return msgspec.json.encode(SlackText(text=_plain(document.text)))


def _plain(text: str) -> str:
    """A text that calls nobody and links nowhere, whatever an agent wrote into its reasons.

    Source: Slack, "Formatting text for app surfaces", escaping.
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _note(what: str, approval: Approval) -> ChangeNote:
    return ChangeNote(
        organisation=approval.binding.organisation,
        actor=PLANE,
        what=what,
        subject=approval.id,
        detail={"resource": approval.binding.resource, "fingerprint": approval.fingerprint},
        invocation=approval.binding.invocation,
        root=approval.binding.root,
    )


def _organisation(configuration: Configuration, identifier: str) -> Organisation | None:
    organisations = configuration.organisations.values()
    return next((each for each in organisations if each.id == identifier), None)
