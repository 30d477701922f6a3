"""Journeys without the plane: the drivers are right, and the refusal table is true of the clients.

The scripted model stands where the plane will: it answers, and it refuses and stops with the very
bytes that the refusal table and the codecs give.
"""

from typing import Any

from tests.journeys import play
from tests.journeys.check import check_refused, check_talk, line, times
from tests.journeys.codec import codec_of
from tests.journeys.environment import Environment
from tests.journeys.journey import Journey
from tests.journeys.report import Report
from tests.journeys.run import Order, drive
from tests.journeys.wire import Wire

from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.protocols import refusal
from ringfence.protocols.refusal import RenderedRefusal
from ringfence.testing.model.serving import Running

REASON = Reason(
    code=Code.BUDGET_EXHAUSTED,
    message=(
        "The budget of this agent is spent: 0 of 0.01 USD is left until 1 January. "
        "Ask owner@acme.example for more."
    ),
    facts=(("budget", "agent total"), ("left_usd", "0")),
)
MODEL = "journey-model"
TOKEN = "rf_journey"


class Direct:
    """One journey against the scripted model alone."""

    def __init__(
        self, journey: Journey, environment: Environment, provider: Running, wire: Wire
    ) -> None:
        """`wire` leads to the provider."""
        self._journey = journey
        self._environment = environment
        self._provider = provider
        self._wire = wire

    async def talk(self, report: Report) -> None:
        """The client does all that a journey asks."""
        self._provider.model.play(play.talk(self._journey.dialect))
        seen = await self._drive(report, "talk", "talk", play.prompts(self._journey))
        check_talk(report, seen)
        report.figures["requests"] = self._wire.model_calls

    async def between(self, report: Report) -> None:
        """A refusal between two calls."""
        self._provider.model.play(play.refusing(self._refusal()))
        seen = await self._drive(report, "between", "turns", {"1": "first", "2": "second"})
        check_refused(report, seen["turns"], REASON.message, answered=1)
        expected = refusal.expected_requests(REASON.code, self._journey.row)
        report.equal("requests", self._wire.model_calls - 1, times(expected, self._journey))

    async def midstream(self, report: Report) -> None:
        """A stop in the middle of a stream."""
        stop = codec_of(self._journey.dialect).stream_stop(REASON)
        self._provider.model.play(play.stopping(stop, self._refusal()))
        seen = await self._drive(report, "midstream", "turns", {"1": "first"})
        check_refused(report, seen["turns"], REASON.message, answered=0)
        expected = refusal.expected_requests_after_stop(self._journey.dialect, self._journey.row)
        report.equal("requests", self._wire.model_calls, times(expected, self._journey))

    def _refusal(self) -> RenderedRefusal:
        denied = Deny(reason=REASON)
        return refusal.render(denied, self._journey.dialect, self._journey.row)

    async def _drive(
        self, report: Report, case: str, kind: str, prompts: dict[str, str]
    ) -> dict[str, Any]:
        self._provider.journal.reset()
        self._wire.requests.clear()
        order = Order(
            case=case, kind=kind, url=self._wire.url, token=TOKEN, model=MODEL, prompts=prompts
        )
        try:
            return await drive(self._journey, self._environment, order)
        finally:
            report.figures["provider"] = [line(e) for e in self._provider.journal.entries]
