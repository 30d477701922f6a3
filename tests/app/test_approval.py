import asyncio
import hashlib
import hmac
from dataclasses import replace

import msgspec
import pytest
from tests.api.plane import OWNER, organisation
from tests.app.test_alert import settled
from tests.decisions.test_approval import BINDING, held

from ringfence.api.context import ChangeNote
from ringfence.app.approval import ApprovalNews, Approvers, describe, opened
from ringfence.domain.approval import ApprovalRules, WebhookForm
from ringfence.domain.error import UnavailableError
from ringfence.domain.organisation import Configuration, Organisation, Role, User
from ringfence.transport.client import Pool
from ringfence.transport.http import Request, Response
from ringfence.transport.server import Server
from ringfence.transport.webhook import Webhook

HELD = replace(held(), escalate_to="oncall@acme.example")


def configured(acme: Organisation) -> Configuration:
    return Configuration(organisations={acme.name: acme}, digest="sha256:1", epoch=1)


def acme(rules: ApprovalRules) -> Organisation:
    return replace(organisation(), id="org_1", approvals=rules)


class Listener:
    """A real HTTP server that keeps what it is sent."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, bytes, bytes]] = []

    async def handle(self, request: Request, response: Response) -> None:
        body = await request.read(100_000)
        names = (b"authorization", b"ringfence-signature")
        self.taken.append((body, *(request.header(each) or b"" for each in names)))  # type: ignore[arg-type] # two names
        response.send(204, [], b"")


async def told(
    form: WebhookForm, *whats: str, is_recording: bool = True, why: str = ""
) -> tuple[Listener, list[ChangeNote]]:
    """Tell of one held call over a real webhook."""
    listener, notes, hooks = Listener(), list[ChangeNote](), list[Webhook]()
    server, pool = Server(listener.handle), Pool()
    port = await server.listen("127.0.0.1", 0)
    rules = ApprovalRules(
        webhook=f"http://127.0.0.1:{port}/", form=form, credential="HOOK", signing_key="SIGN"
    )

    async def record(note: ChangeNote) -> None:
        if not is_recording:
            raise UnavailableError("store_unavailable", "the ledger is away")
        notes.append(note)

    def open_(rules: ApprovalRules) -> Webhook | None:
        hook = opened(pool, lambda name: f"value-of-{name}", rules)
        assert hook is not None
        hooks.append(hook)
        return hook

    news = ApprovalNews(lambda: configured(acme(rules)), record, open_)
    for what in whats:
        await news.tell(what, replace(HELD, reasons=(why,)) if why else HELD)
    await settled(hooks[0], len(whats))
    await news.stop()
    await pool.close()
    await server.close()
    return listener, notes


def test_a_held_call_is_told_as_a_signed_pointer_without_its_arguments() -> None:
    listener, notes = asyncio.run(told(WebhookForm.PLAIN, "approval.requested"))
    [(body, authorization, signature)] = listener.taken
    digest = hmac.new(b"value-of-SIGN", body, hashlib.sha256).hexdigest()
    assert signature == f"sha256={digest}".encode()
    assert authorization == b"Bearer value-of-HOOK"
    document = msgspec.json.decode(body)
    assert (document["type"], document["approval"]) == ("approval.requested", "apr_1")
    assert document["notify"] == OWNER
    assert b"amount" not in body
    assert notes == []  # that it is held stands on record as an event of the agent's


def test_chat_services_get_a_text() -> None:
    listener, _ = asyncio.run(told(WebhookForm.SLACK, "approval.requested"))
    assert list(msgspec.json.decode(listener.taken[0][0])) == ["text"]
    assert b"ringfence approval show apr_1" in listener.taken[0][0]


def test_what_an_agent_asks_calls_nobody_and_links_nowhere_in_a_chat() -> None:
    why = "<!channel> <https://evil.example|ringfence approval show apr_9> & more"
    listener, _ = asyncio.run(told(WebhookForm.SLACK, "approval.requested", why=why))
    text = msgspec.json.decode(listener.taken[0][0])["text"]
    assert "<" not in text
    assert "&lt;!channel&gt;" in text
    assert "&amp; more" in text


def test_what_the_plane_does_by_itself_is_recorded_and_told() -> None:
    listener, notes = asyncio.run(told(WebhookForm.PLAIN, "approval.escalated", "approval.expired"))
    assert [note.what for note in notes] == ["approval.escalated", "approval.expired"]
    assert {(note.actor, note.subject, note.invocation) for note in notes} == {
        ("plane", "apr_1", "inv_1")
    }
    documents = [msgspec.json.decode(each) for each, *_ in listener.taken]
    assert [each["notify"] for each in documents] == ["oncall@acme.example", OWNER]


def test_a_ledger_that_is_away_does_not_keep_anybody_from_being_told() -> None:
    told_ = told(WebhookForm.PLAIN, "approval.expired", is_recording=False)
    listener, notes = asyncio.run(told_)
    assert (len(listener.taken), notes) == (1, [])


def test_without_a_webhook_nothing_is_opened() -> None:
    async def story() -> None:
        pool = Pool()
        assert opened(pool, str, ApprovalRules()) is None
        await pool.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("role", "may"), [(Role.ADMIN, True), (Role.APPROVER, True), (Role.BUILDER, False)]
)
def test_who_may_approve_is_what_the_configuration_says_now(role: Role, may: bool) -> None:  # noqa: FBT001 (a case)
    users = {"ann": User(name="ann", id="user_a", roles=frozenset({role}))}
    with_ann = replace(acme(ApprovalRules()), users=users)
    assert ("user:user_a" in Approvers(lambda: configured(with_ann))("org_1")) is may
    assert Approvers(lambda: configured(with_ann))("org_2") == frozenset()


def test_an_agent_that_is_gone_leaves_nobody_to_notify() -> None:
    gone = replace(held(), agent_name="gone", binding=BINDING)
    assert describe("approval.requested", gone, acme(ApprovalRules())).notify == ""
