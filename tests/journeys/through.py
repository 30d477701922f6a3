"""Journeys through the plane: what the user saw, what the plane recorded, what the provider got."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from tests.journeys import play
from tests.journeys.check import check_refused, check_stopped, check_talk, line, times
from tests.journeys.environment import Environment
from tests.journeys.journey import Journey
from tests.journeys.plane import PROVIDER_KEY, Plane, agent_of, cost_nano, model_of
from tests.journeys.report import Report
from tests.journeys.run import Order, drive
from tests.journeys.wire import Wire

from ringfence.domain.verdict import Code
from ringfence.protocols import refusal
from ringfence.testing.model.journal import Entry, digest
from ringfence.testing.model.serving import Running

_CUT = "Ringfence cut this answer"
_SETTLE_S = 45.0
"""Repeats of a refusal are written when none has come for 20 s."""

_CALLS = frozenset({"chat", "responses", "messages", "gemini"})

Steps = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """What came of driving a client, before anything is read back from the plane."""

    seen: dict[str, Any]
    requests: int
    """Model calls on the wire between the client and the plane."""
    entries: Sequence[Entry]
    """Model calls that reached the provider."""


class Through:
    """One case of one journey through the plane."""

    def __init__(self, journey: Journey, case: str, plane: Plane) -> None:
        """`case` is `talk`, `between` or `midstream`."""
        self._journey = journey
        self._case = case
        self._plane = plane

    async def drive(
        self, environment: Environment, provider: Running, wire: Wire, report: Report
    ) -> Driven:
        """Let the client call; `wire` leads to the plane, and the plane to the provider."""
        scripts = {
            "talk": lambda: play.talk(self._journey.dialect),
            "between": play.spent,
            "midstream": play.runaway,
        }
        prompts = {
            "talk": play.prompts(self._journey),
            "between": {"1": "first", "2": "second"},
            "midstream": {"1": "first"},
        }
        provider.model.play(scripts[self._case]())
        provider.journal.reset()
        wire.requests.clear()
        order = Order(
            case=self._case,
            kind="talk" if self._case == "talk" else "turns",
            url=wire.url,
            token=await self._plane.token(agent_of(self._journey, self._case)),
            model=model_of(self._journey, self._case),
            prompts=prompts[self._case],
        )
        try:
            seen = await drive(self._journey, environment, order)
        finally:
            report.figures["journal"] = [line(e) for e in provider.journal.entries]
            report.figures["wire"] = list(wire.requests)
        entries = [entry for entry in provider.journal.entries if entry.dialect in _CALLS]
        return Driven(seen=seen, requests=wire.model_calls, entries=entries)

    async def check(self, driven: Driven, report: Report) -> None:
        """Compare what the user saw, what the plane recorded and what the provider got."""
        steps = await self._settled(driven)
        report.equal("recorded", _recorded(steps), driven.requests)
        match self._case:
            case "talk":
                self._check_talk(driven, steps, report)
            case "between":
                self._check_between(driven, steps, report)
            case _:
                self._check_midstream(driven, steps, report)

    def _check_talk(self, driven: Driven, steps: Steps, report: Report) -> None:
        """Every call is in the trace with its tokens and its cost."""
        check_talk(report, driven.seen)
        report.equal("requests", driven.requests, len(steps))
        report.equal("provider", len(driven.entries), len(steps))
        report.claim(not any(step["is_refused"] for step in steps), "a step was refused")
        for step, entry in zip(steps, driven.entries, strict=False):
            self._same(report, step, entry)
        report.figures["cost_nano"] = sum(int(step["cost_nano"]) for step in steps)

    def _check_between(self, driven: Driven, steps: Steps, report: Report) -> None:
        """The budget affords one call; the next is refused."""
        refused = [step for step in steps if step["is_refused"]]
        report.equal("refused steps", len(refused), 1)
        message = refused[0]["decision"]["message"] if refused else "(nothing was refused)"
        check_refused(report, driven.seen["turns"], message, answered=1)
        expected = refusal.expected_requests(Code.BUDGET_EXHAUSTED, self._journey.row)
        report.equal("requests", driven.requests - 1, times(expected, self._journey))
        report.equal("provider", len(driven.entries), 1)
        report.equal("output limits", [entry.output_limit for entry in driven.entries], [1000])

    def _check_midstream(self, driven: Driven, steps: Steps, report: Report) -> None:
        """The provider ignores the limit; the plane cuts the stream, and the stop holds."""
        refused = [step for step in steps if step["is_refused"]]
        report.claim(len(refused) <= 1, f"{len(refused)} steps for one refusal")
        messages = [step["decision"]["message"] for step in refused]
        check_stopped(report, driven.seen["turns"], [_CUT, *messages])
        expected = refusal.expected_requests_after_stop(self._journey.dialect, self._journey.row)
        report.equal("requests", driven.requests, times(expected, self._journey))
        report.equal("provider", len(driven.entries), 1)
        statuses = [step["status"] for step in steps if not step["is_refused"]]
        report.equal("cut", statuses, ["cut"])

    async def _settled(self, driven: Driven) -> Steps:
        """The trace, as soon as it accounts for every request that was sent."""
        end = asyncio.get_running_loop().time() + _SETTLE_S
        while True:
            steps = await self._plane.steps(agent_of(self._journey, self._case))
            is_whole = all(step["status"] or step["is_refused"] for step in steps)
            if is_whole and _recorded(steps) == driven.requests:
                return steps
            if asyncio.get_running_loop().time() > end:
                return steps
            await asyncio.sleep(1)

    def _same(self, report: Report, step: dict[str, Any], entry: Entry) -> None:
        """A step says what the provider said, priced to the nano-dollar; one key reached it."""
        assert entry.usage is not None
        told = msgspec.to_builtins(entry.usage)
        shown = step["usage"] or {}
        found = {name: shown.get(name, 0) for name in told if name != "hosted_uses"}
        told.pop("hosted_uses")
        where = f"step {step['number']} ({entry.user[:40]!r})"
        report.claim(found == told, f"{where}: usage {found}, provider said {told}")
        report.claim(
            int(step["cost_nano"]) == cost_nano(told),
            f"{where}: cost {step['cost_nano']}, reckoned {cost_nano(told)}",
        )
        keys = {digest(PROVIDER_KEY.encode()), digest(b"Bearer " + PROVIDER_KEY.encode())}
        sent = {value for value in entry.headers.values() if value.startswith("sha256:")}
        report.claim(
            bool(sent) and sent <= keys, f"{where}: other credentials reached the provider"
        )


def _recorded(steps: Steps) -> int:
    return sum(1 + step["repeats"] for step in steps)
