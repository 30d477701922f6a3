"""What is watched, over real connections: a whole plane, a provider that fails or is slow."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.app.installation import ENVIRONMENT, Answer, Installation, plane, provider

from ringfence.app.configuration import prepare, register
from ringfence.domain.credential import AgentCredential
from ringfence.domain.event import Change, Intent, Outcome
from ringfence.stores.state.store import open_state
from ringfence.stores.state.token import TokenRecord
from ringfence.testing.model.script import parse
from ringfence.transport.clock import SystemClock
from ringfence.transport.entropy import RandomIds

CONFIG = """\
format: 1
organisation: acme
users:
  owner@acme.example: {{roles: [admin]}}
providers:
  house: {{protocol: openai, base_url: "{url}/v1", credential: "${{PROVIDER_KEY}}"{house}}}
models:
  small:
    {{provider: house, price: {{input: 1, output: 10}}, breaker: {{failures: 3, seconds: 60}}}}
agents:
  triage: {{owner: owner@acme.example, models: [small], loops: {{retries: unlimited}}}}
  other: {{owner: owner@acme.example, models: [small], loops: {{retries: unlimited}}}}
"""


def configure(installed: Installation, url: str, house: str = "") -> None:
    """Two agents, whose tokens are `rf_agt_NAME`."""
    text = CONFIG.format(url=url, house=house)
    (installed.folder / "ringfence.yaml").write_text(text, encoding="utf-8")
    clock = SystemClock()
    ids = RandomIds(clock)
    prepared = prepare(installed.settings, ENVIRONMENT, clock.now_us())
    state = open_state(installed.data)
    known = register(state, prepared.configuration, clock=clock, ids=ids, actor="test")
    acme = known.organisations["acme"]
    for name, agent in acme.agents.items():
        credential = AgentCredential(
            id=ids.make("crd"),
            organisation=acme.id,
            agent=agent.id,
            digest=hashlib.sha256(f"rf_agt_{name}".encode()).digest(),
            created_us=clock.now_us(),
        )
        state.tokens.add(TokenRecord(credential=credential, label="", created_by="test"))
    state.close()


async def ask(installed: Installation, text: str, agent: str = "triage") -> Answer:
    said: dict[str, Any] = {"model": "small", "max_tokens": 50}
    body = json.dumps(said | {"messages": [{"role": "user", "content": text}]}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{installed.port}\r\n"
        f"authorization: Bearer rf_agt_{agent}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return await installed.raw(head.encode() + body)


def changes(installed: Installation) -> list[str]:
    found = [each.what for each in installed.events() if isinstance(each, Change)]
    return [each for each in found if each.startswith("breaker.")]


def test_a_provider_that_fails_is_left_alone_probed_and_used_again(
    tmp_path: Path, pass_by: Callable[[float], None]
) -> None:
    rules = """
format: 1
rules:
  - answers:
      - {faults: {status: 503}}
      - {faults: {close: true}}
      - {faults: {status: 500}}
      - {faults: {status: 503}}
      - {faults: {status: 503}}
      - {text: well again}
"""

    async def story() -> None:
        installed = Installation(tmp_path)
        async with provider(parse(rules)) as there:
            configure(installed, there.url)
            async with plane(installed):
                answers = [await ask(installed, f"question {n}") for n in range(20)]
                # The provider that closed could not be reached: that is not the model's failure.
                assert there.journal.total == 4
                assert {each.code for each in answers[4:]} == {"circuit_open"}
                assert {each.status for each in answers[4:]} == {503}
                pass_by(61)
                assert (await ask(installed, "probe")).status == 503
                assert (await ask(installed, "next")).code == "circuit_open"
                assert there.journal.total == 5
                pass_by(121)
                assert (await ask(installed, "probe")).status == 200
                assert (await ask(installed, "next")).status == 200
            assert changes(installed) == ["breaker.opened", "breaker.closed"]
            intents = [each for each in installed.events() if isinstance(each, Intent)]
            outcomes = [each for each in installed.events() if isinstance(each, Outcome)]
            assert len(intents) == len(outcomes) == there.journal.total == 7

    asyncio.run(story())


def test_a_storm_of_refused_credentials_reaches_the_provider_three_times(tmp_path: Path) -> None:
    rules = "{format: 1, rules: [{answer: {faults: {status: 401}}}]}"

    async def story() -> None:
        installed = Installation(tmp_path)
        async with provider(parse(rules)) as there:
            configure(installed, there.url)
            async with plane(installed):
                for number in range(3):
                    await ask(installed, f"question {number}")
                storm = [
                    ask(installed, f"storm {n}", ("triage", "other")[n % 2]) for n in range(40)
                ]
                answers = await asyncio.gather(*storm)
                assert {each.code for each in answers} == {"provider_credential"}
                assert {each.headers["x-should-retry"] for each in answers} == {"false"}
                assert there.journal.total == 3
            assert changes(installed) == ["breaker.opened"]

    asyncio.run(story())


def test_two_agents_share_a_paced_provider_and_neither_waits_behind_the_other(
    tmp_path: Path,
) -> None:
    rules = "{format: 1, rules: [{answer: {text: fine, faults: {delay_ms: 20}}}]}"

    async def story() -> None:
        installed = Installation(tmp_path)
        async with provider(parse(rules)) as there:
            configure(installed, there.url, ", pace: {concurrent: 2}")
            async with plane(installed):
                flood = [asyncio.create_task(ask(installed, f"flood {n}")) for n in range(30)]
                await asyncio.sleep(0.05)
                quiet = [
                    asyncio.create_task(ask(installed, f"quiet {n}", "other")) for n in range(5)
                ]
                assert {each.status for each in await asyncio.gather(*quiet)} == {200}
                waiting = sum(not each.done() for each in flood)
                assert waiting >= 10, "the quiet agent waited behind the flood"
                assert {each.status for each in await asyncio.gather(*flood)} == {200}
            assert there.journal.total == 35
            assert _most_at_once(installed) == 2

    asyncio.run(story())


def _most_at_once(installed: Installation) -> int:
    """How many calls the record shows between intent and outcome at one time."""
    most = going = 0
    for event in installed.events():
        going += isinstance(event, Intent) - isinstance(event, Outcome)
        most = max(most, going)
    return most
