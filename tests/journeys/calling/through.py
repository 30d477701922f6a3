"""One case of one client: drives it, lets a person answer, and reads back what happened."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.journeys.calling import claims, play, world
from tests.journeys.calling.case import HELD, Case
from tests.journeys.calling.claims import Run
from tests.journeys.calling.journey import Caller
from tests.journeys.environment import Environment
from tests.journeys.plane import Plane
from tests.journeys.report import Report
from tests.journeys.run import Order, drive
from tests.journeys.wire import Wire

from ringfence.testing.model.serving import Running as Provider
from ringfence.testing.tools.plan import Call
from ringfence.testing.tools.serving import Running as Tools

_LOOK_S: Final = 0.5
_SETTLE_S: Final = 10.0
_MODEL_CALLS: Final = frozenset({"chat", "responses", "messages"})


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """All that runs; a person answers a held call after `held_s` seconds."""

    plane: Plane
    provider: Provider
    tools: Sequence[Tools]
    wire: Wire
    held_s: float


class Through:
    """One case of one client."""

    def __init__(self, caller: Caller, case: Case, environment: Environment, all_: World) -> None:
        """Nothing is started yet."""
        self._caller = caller
        self._case = case
        self._environment = environment
        self._world = all_
        self._answers = 0

    async def run(self, report: Report) -> None:
        """Do it, and claim what must be so."""
        everything = self._world
        everything.provider.model.play(play.model(self._case))
        everything.provider.journal.reset()
        everything.wire.requests.clear()
        for server in everything.tools:
            server.journal.calls.clear()
        agents = [world.agent_of(self._caller, self._case)]
        if self._case is Case.STATE:
            agents.append(world.neighbour_of(self._caller))
        elif self._case is Case.SHARED:
            agents.append(agents[0])
        try:
            seen = await self._drive(agents)
        finally:
            report.figures["wire"] = [f"{each[0]} {each[1]}" for each in everything.wire.requests]
        runs = [
            await self._account(agent, found) for agent, found in zip(agents, seen, strict=True)
        ]
        claims.check(report, self._caller, self._case, replace(runs[0], others=runs[1:]))
        report.figures["requests"] = f"{len(runs[0].entries)} to the model, {runs[0].posts} posts"

    async def _drive(self, agents: Sequence[str]) -> list[dict[str, Any]]:
        person = asyncio.create_task(self._answer(agents[0]))
        try:
            tokens = {agent: await self._world.plane.token(agent) for agent in set(agents)}
            return await asyncio.gather(
                *(self._all(at, agent, tokens[agent]) for at, agent in enumerate(agents))
            )
        finally:
            person.cancel()
            await asyncio.gather(person, return_exceptions=True)

    async def _all(self, at: int, agent: str, token: str) -> dict[str, Any]:
        """Every run of the case, one after the other; what was said in the end is joined."""
        found = [
            await self._one(f"{agent}-{at}", token, wanted) for wanted in play.asked(self._case)
        ]
        said = [str(seen["said"]) for seen in found if "said" in seen]
        errors = [str(seen["error"]) for seen in found if "error" in seen]
        return {**found[-1], "said": "\n".join(said), **({"error": errors} if errors else {})}

    async def _one(self, home: str, token: str, wanted: play.Asked) -> dict[str, Any]:
        everything = self._world
        caller = replace(self._caller, timeout_s=self._caller.timeout_s + everything.held_s)
        order = Order(
            case=home,
            kind="calls",
            url=everything.wire.url,
            token=token,
            model=world.model_of(caller),
            prompts={"1": play.prompt(caller, self._case, wanted)},
            driver="caller.py",
            server=wanted.server,
        )
        return await drive(caller, self._environment, order)

    async def _answer(self, agent: str) -> None:
        """The person: sees what is held, thinks, and answers, or does not."""
        if self._case not in HELD:
            return
        plane = self._world.plane
        while not (held := await plane.held(agent)):  # noqa: ASYNC110 (another process holds it)
            await asyncio.sleep(_LOOK_S)
        self._answers = len(held)
        if self._case is Case.EXPIRED:
            return
        await asyncio.sleep(self._world.held_s)
        answer = "approve" if self._case is Case.APPROVED else "deny"
        await plane.answer(held[0]["id"], answer, world.DENIED_BECAUSE)

    async def _account(self, agent: str, seen: dict[str, Any]) -> Run:
        everything = self._world
        entries = [
            entry for entry in everything.provider.journal.entries if entry.dialect in _MODEL_CALLS
        ]
        calls: list[Call] = [call for server in everything.tools for call in server.journal.calls]
        return Run(
            seen=seen,
            entries=entries,
            calls=calls,
            steps=await self._settled(agent),
            posts=sum(
                1
                for method, path in everything.wire.requests
                if method == "POST" and "/mcp" in path
            ),
            answers=self._answers,
        )

    async def _settled(self, agent: str) -> list[dict[str, Any]]:
        """The trace, as soon as every step in it has ended."""
        end = asyncio.get_running_loop().time() + _SETTLE_S
        while True:
            steps = await self._world.plane.steps(agent)
            ended = ("status", "is_refused", "is_held")
            if steps and all(any(step[key] for key in ended) for step in steps):
                return steps
            if asyncio.get_running_loop().time() > end:
                return steps
            await asyncio.sleep(1)
