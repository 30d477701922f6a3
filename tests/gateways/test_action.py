import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.approvals import desk
from tests.gateways.world import World, agent, code_of, organisation

from ringfence.domain.agent import AgentState, Autonomy, Limits, Scope
from ringfence.domain.approval import Approval, Vote
from ringfence.domain.event import Hold, Status
from ringfence.domain.tool import PermissionTier, ToolKey, ToolServer
from ringfence.gateways.action_form import Reported
from ringfence.stores.state.approval import ApprovalRecords
from ringfence.stores.state.database import open_sqlite
from ringfence.testing.clock import ManualClock
from ringfence.testing.http import MemoryResponse
from ringfence.testing.ids import SequentialIds

PATH = "/ringfence/v1/actions"
BASH = ToolKey(server="claude", name="Bash")
OWN = ToolServer(
    name="claude",
    is_run_by_agent=True,
    tiers=(("Bash", PermissionTier.IRREVERSIBLE), ("Read", PermissionTier.READ)),
)
CRM = ToolServer(name="crm", url="http://127.0.0.1:9/mcp")
SCOPE = ("claude__*", "crm__*")
MINUTE_US = 60_000_000


class Here:
    """A worker whose agent has tools of its own, and people who may be asked."""

    def __init__(self, folder: Path, *, has_desk: bool = True, **more: Any) -> None:  # noqa: ANN401
        clock = ManualClock()
        self.records = ApprovalRecords(open_sqlite(folder))
        self.desk = desk(clock, SequentialIds(), kept=self.records)
        plain = agent(**more)
        config = organisation(
            tools={"claude": OWN, "crm": CRM},
            agents={
                "triage": replace(plain, scope=replace(plain.scope, tools=SCOPE)),
                "spy": agent("spy"),
            },
        )
        self.world = World(config, clock=clock, approvals=self.desk if has_desk else None)

    async def ask(self, tool: str = "claude__Read", /, **more: Any) -> MemoryResponse:  # noqa: ANN401
        return await self.world.ask(PATH, {"tool": tool, **more})

    async def allowed(self, tool: str = "claude__Read", /, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        response = await self.ask(tool, **more)
        assert response.status == 201, response.body
        found: dict[str, Any] = msgspec.json.decode(response.body)
        return found

    async def tell(self, action: str, body: object = None, **more: Any) -> MemoryResponse:  # noqa: ANN401
        return await self.world.ask(f"{PATH}/{action}/outcome", body or {"status": "ok"}, **more)

    def pending(self) -> Approval:
        [held] = self.records.list(self.world.config.id)
        return held

    async def held(self, arguments: bytes = b"") -> Approval:
        """The call that is held, as soon as it is; with these arguments, if some are given."""
        async with asyncio.timeout(60):
            while True:
                for each in self.records.open():
                    if arguments in {b"", each.binding.arguments}:
                        return each
                await asyncio.sleep(0.01)

    async def say(self, held: Approval, *, yes: bool = True) -> None:
        vote = Vote(user="user:ann", approves=yes, at_us=self.world.clock.now_us())
        await self.desk.decide(held.binding.organisation, held.id, vote)


def test_an_action_is_asked_for_done_by_the_agent_and_told(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        given = await here.allowed(arguments={"path": "/etc/hosts"}, call_id="toolu_1")
        assert (given["verdict"], given["arguments"]) == ("allow", {"path": "/etc/hosts"})
        [intent] = here.world.ledger.intents
        assert (intent.action, intent.resource) == (given["id"], "claude__Read")
        assert (intent.enforced, intent.call_id) == ("by_caller", "toolu_1")
        told = await here.tell(given["id"], {"status": "ok", "result": {"lines": 3}})
        assert (told.status, msgspec.json.decode(told.body)["status"]) == (200, "ok")
        [outcome] = here.world.ledger.outcomes
        assert (outcome.status, outcome.reported_by) == (Status.OK, "agent")
        assert outcome.cost_nano == "0"
        here.world.check_books()

    asyncio.run(story())


def test_an_outcome_is_taken_once_and_only_from_its_own_credential(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        given = await here.allowed()
        stranger = await here.tell(given["id"], token="spy-token")
        assert stranger.status in {401, 404}
        assert (await here.tell(given["id"], {"status": "error", "error": "boom"})).status == 200
        again = await here.tell(given["id"])
        assert (again.status, code_of(again)) == (404, "not_found")
        [outcome] = here.world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.FAILED, "boom")

    asyncio.run(story())


def test_what_is_not_told_in_time_is_unknown(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        given = await here.allowed(seconds=60)
        here.world.clock.advance(MINUTE_US - 1)
        here.world.worker.tidy()
        assert here.world.ledger.outcomes == []
        here.world.clock.advance(1)
        here.world.worker.tidy()
        [outcome] = here.world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.UNKNOWN, "not_reported")
        assert (await here.tell(given["id"])).status == 404

    asyncio.run(story())


def test_what_is_irreversible_waits_for_a_person(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        order: dict[str, Any] = {"arguments": {"command": "rm -r /"}}
        first = await here.ask("claude__Bash", **order)
        assert first.status == 202
        asked = msgspec.json.decode(first.body)
        held = here.pending()
        assert (asked["verdict"], asked["approval"]) == ("ask", held.id)
        assert held.binding.arguments == b'{"command":"rm -r /"}'
        [hold] = [each for each in here.world.ledger.events if isinstance(each, Hold)]
        assert (hold.approval, hold.fingerprint) == (held.id, held.fingerprint)
        await here.say(held)
        given = await here.allowed("claude__Bash", **order)
        [intent] = here.world.ledger.intents
        assert (intent.action, intent.approval) == (given["id"], held.id)
        other = await here.ask("claude__Bash", **order)
        assert other.status == 202  # one approval is one action

    asyncio.run(story())


def test_an_agent_that_waits_goes_on_when_a_person_has_answered(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        yes = asyncio.create_task(here.ask("claude__Bash", arguments={"a": 1}, wait_s=30))
        await here.say(await here.held())
        assert (await yes).status == 201
        no = asyncio.create_task(here.ask("claude__Bash", arguments={"a": 2}, wait_s=30))
        await here.say(await here.held(b'{"a":2}'), yes=False)
        refused = await no
        assert (refused.status, code_of(refused)) == (403, "approval_denied")

    asyncio.run(story())


def test_other_arguments_than_those_approved_are_another_call(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        await here.ask("claude__Bash", arguments={"amount": 100})
        await here.say(here.pending())
        for changed in ({"amount": 1000}, {"amount": 100.0}):
            assert (await here.ask("claude__Bash", arguments=changed)).status == 202
        assert here.world.ledger.intents == []

    asyncio.run(story())


def test_a_suspended_agent_gets_no_answer_though_a_person_approved(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        waiting = asyncio.create_task(here.ask("claude__Bash", arguments={"a": 1}, wait_s=30))
        held = await here.held()
        await here.world.suspend("triage", AgentState.SUSPENDED)
        await here.say(held)
        refused = await waiting
        assert (refused.status, code_of(refused)) == (403, "agent_suspended")
        assert here.world.ledger.intents == []

    asyncio.run(story())


@pytest.mark.parametrize(
    ("tool", "status", "code"),
    [
        ("crm__refund", 400, "request_malformed"),
        ("ringfence__escalate", 400, "request_malformed"),
        ("other__thing", 403, "tool_unknown"),
        ("nothing", 403, "tool_unknown"),
    ],
)
def test_only_tools_that_the_agent_runs_itself_are_actions(
    tmp_path: Path, tool: str, status: int, code: str
) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        refused = await here.ask(tool)
        assert (refused.status, code_of(refused)) == (status, code)
        assert here.world.ledger.intents == []

    asyncio.run(story())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"tool":"claude__Read","tool":"claude__Bash"}',
        b'{"tool":"claude__Read","arguments":{"a":1,"a":2}}',
        b'{"tool":"claude__Read","seconds":0}',
        b'{"tool":"claude__Read","approve":true}',
        b'{"tool":7}',
    ],
)
def test_what_is_not_an_order_is_refused_with_words(tmp_path: Path, body: bytes) -> None:
    async def story() -> None:
        refused = await Here(tmp_path).world.ask(PATH, body)
        assert (refused.status, code_of(refused)) == (400, "request_malformed")

    asyncio.run(story())


def test_actions_count_against_the_limits_of_the_run(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path, limits=Limits(tool_calls=2))
        for _ in range(2):
            await here.allowed()
        refused = await here.ask()
        assert (refused.status, code_of(refused)) == (402, "limit_reached")

    asyncio.run(story())


def test_an_unwritten_intent_allows_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        here.world.ledger.is_failing = True
        refused = await here.ask()
        assert (refused.status, code_of(refused)) == (503, "store_unavailable")

    asyncio.run(story())


def test_another_worker_takes_the_outcome_of_the_action_it_keeps(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        given = await here.allowed()
        credential = here.world.credentials["triage"].id
        reported = Reported(
            organisation=here.world.config.id,
            credential=credential,
            action=given["id"],
            is_ok=True,
            result=b"{}",
            error="",
        )
        door = here.world.worker.actions
        foreign = msgspec.structs.replace(reported, organisation="org_2")
        assert not door.take(foreign)
        assert door.take(reported)
        assert not door.take(reported)

    asyncio.run(story())


def test_paths_and_methods_that_are_none_are_refused(tmp_path: Path) -> None:
    async def story() -> None:
        world = Here(tmp_path).world
        for method, path, status in (
            ("GET", PATH, 405),
            ("POST", f"{PATH}/act_1", 404),
            ("POST", f"{PATH}/act_1/other", 404),
            ("GET", f"{PATH}/act_1/outcome", 405),
        ):
            assert (await world.ask(path, b"{}", method=method)).status == status

    asyncio.run(story())


def runner(tmp_path: Path, *commands: str, **more: Any) -> Here:  # noqa: ANN401 (fields of an agent)
    """An agent that runs commands by itself."""
    scope = Scope(models=frozenset({"small"}), commands=commands or ("git", "bash"))
    return Here(tmp_path, scope=scope, **more)


async def run(here: Here, *argv: str, **more: Any) -> MemoryResponse:  # noqa: ANN401 (fields of the order)
    order = {"command": {"argv": argv, "directory": "/src"}, **more}
    return await here.world.ask(PATH, order)


def test_a_command_is_asked_for_run_by_the_agent_and_told(tmp_path: Path) -> None:
    async def story() -> None:
        here = runner(tmp_path)
        response = await run(here, "bash", "-c", "git log | head", call_id="toolu_7")
        assert response.status == 201, response.body
        given = msgspec.json.decode(response.body)
        assert given["arguments"]["line"] == "bash -c 'git log | head'"
        [intent] = here.world.ledger.intents
        assert (intent.action_kind, intent.resource) == ("shell.exec", "bash")
        assert (intent.enforced, intent.sandbox, intent.call_id) == ("by_caller", "", "toolu_7")
        told = await here.tell(given["id"], {"status": "ok", "exit_code": 3, "result": "x"})
        assert told.status == 200
        [outcome] = here.world.ledger.outcomes
        assert (outcome.exit_code, outcome.reported_by) == (3, "agent")
        here.world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (("git", "log"), 201),
        (("/usr/bin/git", "log"), 201),
        (("curl",), 403),
        (("./git",), 403),
        (("/home/me/git",), 403),
    ],
)
def test_an_agents_own_commands_keep_to_its_scope(
    tmp_path: Path, argv: tuple[str, ...], status: int
) -> None:
    async def story() -> None:
        assert (await run(runner(tmp_path), *argv)).status == status

    asyncio.run(story())


def test_a_command_of_its_own_may_wait_for_a_person(tmp_path: Path) -> None:
    async def story() -> None:
        here = runner(tmp_path, autonomy=Autonomy.ASK_ALWAYS)
        first = await run(here, "git", "push")
        assert first.status == 202
        await here.say(await here.held())
        assert (await run(here, "git", "push")).status == 201

    asyncio.run(story())


def test_a_command_whose_end_is_not_told_is_unknown(tmp_path: Path) -> None:
    async def story() -> None:
        here = runner(tmp_path)
        await run(here, "git", "log", seconds=60)
        here.world.clock.advance(MINUTE_US + 1)
        here.world.worker.tidy()
        [outcome] = here.world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.UNKNOWN, "not_reported")

    asyncio.run(story())


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"tool": "claude__Read", "command": {"argv": ["git"]}},
        {"command": {"argv": []}},
        {"command": {"argv": ["git"], "path": "/x"}},
    ],
)
def test_an_action_is_one_thing(tmp_path: Path, order: dict[str, Any]) -> None:
    async def story() -> None:
        answer = await runner(tmp_path).world.ask(PATH, order)
        assert (answer.status, code_of(answer)) == (400, "request_malformed")

    asyncio.run(story())


def sender(tmp_path: Path, **more: Any) -> Here:  # noqa: ANN401 (fields of an agent)
    """An agent that sends requests by itself."""
    scope = Scope(models=frozenset({"small"}), hosts=("api.example.com", "*.acme.example:8443"))
    return Here(tmp_path, scope=scope, **more)


async def send(here: Here, url: str, method: str = "GET", **more: Any) -> MemoryResponse:  # noqa: ANN401
    return await here.world.ask(PATH, {"request": {"url": url, "method": method}, **more})


def test_a_request_is_asked_for_sent_by_the_agent_and_told(tmp_path: Path) -> None:
    async def story() -> None:
        here = sender(tmp_path)
        url = "https://api.example.com/v1/items?limit=3"
        response = await send(here, url, "POST", call_id="toolu_9")
        assert response.status == 201, response.body
        given = msgspec.json.decode(response.body)
        assert given["arguments"] == {"url": url, "method": "POST"}
        [intent] = here.world.ledger.intents
        assert (intent.action_kind, intent.resource) == ("http.request", "api.example.com:443")
        assert (intent.operation, intent.target) == ("POST", url)
        assert (intent.enforced, intent.sandbox) == ("by_caller", "")
        told = await here.tell(given["id"], {"status": "ok", "http_status": 201})
        assert told.status == 200
        [outcome] = here.world.ledger.outcomes
        assert (outcome.http_status, outcome.reported_by) == (201, "agent")
        assert outcome.secrets == []
        here.world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://api.example.com/", 201),
        ("https://api.example.com", 201),
        ("https://API.Example.com/", 201),
        ("http://x.acme.example:8443/a", 201),
        ("https://api.example.com:8443/", 403),
        ("https://evil.example/", 403),
        ("https://api.example.com@evil.example/", 400),
        ("https://evil.example\\@api.example.com/", 400),
        ("https://api.example.com/a/../b", 400),
        ("https://api.example.com/%2e%2e/b", 400),
        ("ftp://api.example.com/", 400),
        ("https://127.1/", 400),
        ("https://[::1/", 400),
        ("https://api.example.com/ö", 400),
        ("//api.example.com/", 400),
    ],
)
def test_an_agents_own_requests_keep_to_its_hosts(tmp_path: Path, url: str, status: int) -> None:
    async def story() -> None:
        assert (await send(sender(tmp_path), url)).status == status

    asyncio.run(story())
