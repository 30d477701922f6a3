"""Journeys through the plane: drives a client, then reads back what the plane recorded."""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType

from tests.journeys import claims, play
from tests.journeys.check import line
from tests.journeys.claims import Driven, Record, Steps
from tests.journeys.environment import Environment
from tests.journeys.journey import Journey
from tests.journeys.plane import Plane, agent_of, model_of, user_of
from tests.journeys.report import Report
from tests.journeys.run import Order, drive
from tests.journeys.wire import Wire

from ringfence.testing.model.script import Script
from ringfence.testing.model.serving import Running

_SETTLE_S = 45.0
"""Repeats of a refusal are written when none has come for 20 s."""

_CALLS = frozenset({"chat", "responses", "messages", "gemini"})
_KINDS: Mapping[str, str] = MappingProxyType({"talk": "talk", "loop": "tool"})
"""What the driver is asked to do; else some turns of one conversation."""


class Through:
    """One case of one journey through the plane."""

    def __init__(self, journey: Journey, case: str, plane: Plane) -> None:
        """`case` is one of `case.CASES` that the client does."""
        self._journey = journey
        self._case = case
        self._plane = plane

    async def drive(
        self, environment: Environment, provider: Running, wire: Wire, report: Report
    ) -> Driven:
        """Let the client call; `wire` leads to the plane, and the plane to the provider."""
        provider.model.play(self._script())
        headers = await self._headers()
        order = Order(
            case=self._case,
            kind=_KINDS.get(self._case, "turns"),
            url=wire.url,
            token=await self._plane.token(agent_of(self._journey, self._case)),
            model=model_of(self._journey, self._case),
            prompts=self._prompts(),
            headers=headers,
        )
        provider.journal.reset()
        wire.requests.clear()
        try:
            seen = await drive(self._journey, environment, order)
        finally:
            report.figures["journal"] = [line(e) for e in provider.journal.entries]
            report.figures["wire"] = list(wire.requests)
        entries = [entry for entry in provider.journal.entries if entry.dialect in _CALLS]
        return Driven(
            seen=seen,
            requests=wire.model_calls,
            entries=entries,
            bodies=[provider.journal.body(entry.number) or b"" for entry in entries],
            secrets=list(headers.values()),
        )

    async def check(self, driven: Driven, report: Report) -> None:
        """Compare what the user saw, what the plane recorded and what the provider got."""
        steps = await self._settled(driven)
        report.equal("recorded", claims.recorded(steps), driven.requests)
        events = await self._events()
        record = Record(steps=steps, events=events, workers=self._plane.workers)
        claim: Callable[[Report, Journey, Driven, Record], None] = getattr(claims, self._case)
        claim(report, self._journey, driven, record)

    def _script(self) -> Script:
        match self._case:
            case "talk":
                return play.talk(self._journey.dialect)
            case "midstream":
                return play.runaway()
            case "loop":
                return play.loop(self._journey.dialect)
            case _:
                return play.spent()

    def _prompts(self) -> dict[str, str]:
        match self._case:
            case "talk":
                return play.prompts(self._journey)
            case "midstream":
                return {"1": "first"}
            case "loop":
                return {"1": self._journey.tool_prompt}
            case _:
                return {"1": "first", "2": "second"}

    async def _headers(self) -> dict[str, str]:
        if self._case != "behalf":
            return {}
        return {"Ringfence-On-Behalf-Of": await self._plane.user_token(user_of(self._journey))}

    async def _events(self) -> list[dict[str, object]]:
        """The events that the case is about, oldest first."""
        match self._case:
            case "behalf":
                return await self._plane.events("--user", user_of(self._journey))
            case "loop":
                (trace,) = await self._plane.traces(agent_of(self._journey, self._case))
                return await self._plane.events("--invocation", trace, "--kind", "change")
            case _:
                return []

    async def _settled(self, driven: Driven) -> Steps:
        """The trace, as soon as it accounts for every request that was sent."""
        end = asyncio.get_running_loop().time() + _SETTLE_S
        while True:
            steps = await self._plane.steps(agent_of(self._journey, self._case))
            is_whole = all(step["status"] or step["is_refused"] for step in steps)
            if is_whole and claims.recorded(steps) == driven.requests:
                return steps
            if asyncio.get_running_loop().time() > end:
                return steps
            await asyncio.sleep(1)
