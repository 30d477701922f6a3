"""The path of requests through egress, without a network."""

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
from tests.enforcement.test_sandbox_registry import Monitor, order
from tests.gateways.world import World, agent, organisation

from ringfence.domain.agent import AgentState, Autonomy, Limits
from ringfence.domain.destination import Authority, Destination
from ringfence.domain.event import Status
from ringfence.domain.monitoring import Join
from ringfence.domain.verdict import Code
from ringfence.enforcement.holding import Holdable
from ringfence.enforcement.http_call import HttpKnock, HttpPath
from ringfence.enforcement.http_ticket import HttpEnding, HttpTicket
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.sandbox import LiveSandbox

THERE = Destination(scheme="https", host="api.example", port=443)


class Street:
    """One open sandbox whose agent may reach `api.example`."""

    def __init__(self, **more: Any) -> None:  # noqa: ANN401 (fields of an agent)
        base = agent(**more)
        used = replace(base, scope=replace(base.scope, hosts=("api.example", "*.wide.example")))
        self.world = World(organisation(agents={used.name: used}))
        self.box: LiveSandbox

    async def open(self) -> None:
        registry = self.world.worker.sandboxing.registry
        grant = await registry.open(order())
        join = Join(
            version="1", ticket=grant.ticket, tier=grant.tier, pid=7, plan="", binds=(), kinds=()
        )
        self.box = await registry.join(join, (), Monitor([]))

    @property
    def path(self) -> HttpPath:
        return self.world.worker.egress.path

    def begin(self, method: str = "GET", **more: Any) -> Any:  # noqa: ANN401 (what comes of it)
        knock = HttpKnock(
            caller=self.box.caller,
            destination=more.pop("destination", THERE),
            method=method,
            sandbox=self.box.id,
            kept_bytes=100,
            **more,
        )
        return self.path.begin(knock)

    def code(self, method: str = "GET", **more: Any) -> Code:  # noqa: ANN401 (parts of a knock)
        refused = self.begin(method, **more)
        assert isinstance(refused, RefusedAction), refused
        return refused.verdict.reason.code


def on_a_street(story: Any, **more: Any) -> None:  # noqa: ANN401 (a story)
    async def told() -> None:
        street = Street(**more)
        await street.open()
        await story(street)

    asyncio.run(told())


def test_a_request_becomes_a_ticket_and_its_end_is_one_outcome() -> None:
    async def story(street: Street) -> None:
        ticket = street.begin("POST", body=b"x" * 500, body_bytes=500, query=b"a=b", path=b"/p")
        assert isinstance(ticket, HttpTicket)
        assert street.path.written(ticket) is None
        assert ticket.body().whole == b"x" * 100
        for _ in range(2):
            ticket.settle(HttpEnding(status=Status.OK, http_status=201, sent_bytes=500))
        (intent,) = street.world.ledger.intents
        (outcome,) = street.world.ledger.outcomes
        assert intent.target == "https://api.example/p?a=b"
        assert (intent.body_bytes, intent.permission) == (500, "consequential")
        assert (outcome.http_status, outcome.sent_bytes) == (201, 500)
        street.world.check_books()

    on_a_street(story)


def test_what_is_out_of_scope_or_uncertain_is_refused_on_the_record() -> None:
    async def story(street: Street) -> None:
        other = Destination(scheme="https", host="evil.example", port=443)
        assert street.code(destination=other) is Code.OUT_OF_SCOPE
        assert street.code(misplaced="crm") is Code.DESTINATION_REFUSED
        await street.world.suspend(state=AgentState.RETIRED)
        assert street.code() is Code.AGENT_RETIRED
        refusals = street.world.ledger.refusals
        assert {each.sandbox for each in refusals} == {street.box.id}
        assert refusals[0].target == "https://evil.example/"
        assert street.world.ledger.intents == []
        street.world.check_books()

    on_a_street(story)


def test_who_may_only_look_may_only_get() -> None:
    async def story(street: Street) -> None:
        assert isinstance(street.begin("GET"), HttpTicket)
        assert isinstance(street.begin("HEAD"), HttpTicket)
        for method in ("POST", "DELETE", "BREW", "get"):
            assert street.code(method) is Code.POLICY_DENIED
        assert street.code("GET", is_tunnel=True) is Code.POLICY_DENIED

    on_a_street(story, autonomy=Autonomy.OBSERVE)


def test_what_a_person_approves_is_the_whole_request() -> None:
    async def story(street: Street) -> None:
        held = street.begin("POST", body=b"\xff\x00", body_bytes=2, path=b"/p", query=b"q=1")
        assert isinstance(held, Holdable)
        shown = msgspec.json.decode(held.asking.binding.arguments)
        assert shown["method"] == "POST"
        assert shown["url"] == "https://api.example/p"
        assert shown["query"] == "q=1"
        assert shown["body_base64"] == "/wA="
        assert held.asking.binding.resource == "api.example:443"
        late = street.code("POST", body=b"x", body_bytes=9_000_000, is_whole=False)
        assert late is Code.REQUEST_TOO_LARGE
        street.world.check_books()

    on_a_street(story, autonomy=Autonomy.ASK_ALWAYS)


def test_bytes_that_were_not_moved_may_be_moved_by_others() -> None:
    async def story(street: Street) -> None:
        one, two = street.begin(), street.begin()
        assert one.allowed_bytes == 400_000
        assert two.allowed_bytes == 200_000
        assert street.code() is Code.LIMIT_REACHED
        one.settle(HttpEnding(status=Status.OK, received_bytes=100_000))
        three = street.begin()
        assert three.allowed_bytes == 300_000
        for each in (two, three):
            each.settle(HttpEnding(status=Status.OK))
        street.world.check_books()

    on_a_street(story, limits=Limits(http_bytes=600_000, http_call_bytes=400_000))


def test_an_address_is_told_only_for_what_may_be_reached() -> None:
    async def story(street: Street) -> None:
        path, box = street.path, street.box
        assert path.may_resolve(box.caller, box.live, Authority("api.example"))
        assert path.may_resolve(box.caller, box.live, Authority("a.wide.example"))
        assert not path.may_resolve(box.caller, box.live, Authority("evil.example"))
        assert not path.may_resolve(box.caller, None, Authority("api.example"))
        assert path.may_connect(box.caller, box.live, THERE) is None

    on_a_street(story)
