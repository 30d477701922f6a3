"""Counts and durations of one worker, cheap to take and made to be summed over workers."""

from collections.abc import Iterable
from enum import StrEnum
from typing import final

import msgspec

from ringfence.domain.event import Intent, Outcome

_TOOLS_MOST = 2_000
"""How many series tools may have at one worker: agents can make up names of their own tools."""
_OTHERS = "others"
_SLOTS = 32
"""Powers of two of a microsecond: the last bound is over half an hour."""


class Stage(StrEnum):
    """A part of a call's time."""

    DECIDE = "decide"
    """From the body read to the reservation made and the intent built."""
    INTENT = "intent"
    """Waiting until the intent is durable."""
    FIRST_BYTE = "first_byte"
    """From the intent's beginning to the provider's first byte."""
    CALL = "call"
    """The whole action, to its settlement."""


class Spread(msgspec.Struct):
    """Durations as counts: slot n holds those below 2ⁿ µs and not below the slot before."""

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * _SLOTS)
    total_us: int = 0

    def add(self, duration_us: int) -> None:
        """Count one duration; one below zero counts as none."""
        slot = duration_us.bit_length() if duration_us > 0 else 0
        self.counts[slot if slot < _SLOTS else _SLOTS - 1] += 1
        self.total_us += duration_us

    def join(self, other: "Spread") -> None:
        """Count the other's durations too."""
        self.counts = [one + two for one, two in zip(self.counts, other.counts, strict=True)]
        self.total_us += other.total_us


class CallKey(msgspec.Struct, frozen=True, order=True):
    """Calls that are counted together. `status` is the outcome's."""

    organisation: str
    agent: str
    model: str
    status: str


class ToolCallKey(msgspec.Struct, frozen=True, order=True):
    """Tool calls that are counted together. `result` is `ok`, or the class of the error."""

    organisation: str
    agent: str
    tool: str
    result: str


class ToolCallCount(msgspec.Struct):
    """How many tool calls, how long they took in all, and what they cost."""

    calls: int = 0
    duration_us: int = 0
    cost_nano: int = 0

    def join(self, other: "ToolCallCount") -> None:
        """Count the other's calls too."""
        self.calls += other.calls
        self.duration_us += other.duration_us
        self.cost_nano += other.cost_nano


class RefusalKey(msgspec.Struct, frozen=True, order=True):
    """Refusals that are counted together. `code` is the reason's."""

    organisation: str
    agent: str
    code: str


class CallCount(msgspec.Struct):
    """How many calls, and what they cost and used."""

    calls: int = 0
    cost_nano: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def join(self, other: "CallCount") -> None:
        """Count the other's calls too."""
        self.calls += other.calls
        self.cost_nano += other.cost_nano
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens


class Measured(msgspec.Struct, kw_only=True):
    """What a worker has counted since it started, or several workers together.

    `gauges` are values that may fall, summed over workers: `ledger_waiting_events` and the like.
    `totals` only rise.
    """

    calls: list[tuple[CallKey, CallCount]] = []
    tools: list[tuple[ToolCallKey, ToolCallCount]] = []
    refusals: list[tuple[RefusalKey, int]] = []
    stages: dict[Stage, Spread] = {}
    totals: dict[str, int] = {}
    gauges: dict[str, int] = {}


@final
class Meter:
    """Counts in one worker's loop; nothing here waits or locks."""

    def __init__(self) -> None:
        """Nothing has been counted."""
        self._calls: dict[CallKey, CallCount] = {}
        self._tools: dict[ToolCallKey, ToolCallCount] = {}
        self._refusals: dict[RefusalKey, int] = {}
        self._stages = {stage: Spread() for stage in Stage}
        self.decided = self._stages[Stage.DECIDE].add
        self.made_durable = self._stages[Stage.INTENT].add
        self._first_byte = self._stages[Stage.FIRST_BYTE].add
        self._call = self._stages[Stage.CALL].add

    def ended(self, intent: Intent, outcome: Outcome) -> None:
        """Count a call that has been settled."""
        key = CallKey(intent.organisation, intent.agent_name, intent.resource, outcome.status)
        count = self._calls.get(key)
        if count is None:
            count = self._calls[key] = CallCount()
        count.calls += 1
        count.cost_nano += int(outcome.cost_nano)
        usage = outcome.usage
        if usage is not None:
            count.input_tokens += usage.input_tokens
            count.output_tokens += usage.output_tokens
        self._call(outcome.duration_us)
        if outcome.first_byte_us:
            self._first_byte(outcome.first_byte_us)

    def tool_ended(self, intent: Intent, outcome: Outcome) -> None:
        """Count a tool call that has been settled."""
        result = outcome.error or outcome.status
        key = ToolCallKey(intent.organisation, intent.agent_name, intent.resource, result)
        count = self._tools.get(key)
        if count is None:
            if len(self._tools) >= _TOOLS_MOST:
                key = msgspec.structs.replace(key, tool=_OTHERS)
            count = self._tools.setdefault(key, ToolCallCount())
        count.calls += 1
        count.duration_us += outcome.duration_us
        count.cost_nano += int(outcome.cost_nano)

    def refused(self, organisation: str, agent: str, code: str) -> None:
        """Count one refusal, a repeat too."""
        key = RefusalKey(organisation, agent, code)
        self._refusals[key] = self._refusals.get(key, 0) + 1

    def read(self) -> Measured:
        """What has been counted so far. The lists are new; the counts in them go on."""
        return Measured(
            calls=list(self._calls.items()),
            tools=list(self._tools.items()),
            refusals=list(self._refusals.items()),
            stages=dict(self._stages),
        )


def join(parts: Iterable[Measured]) -> Measured:
    """Several workers as one."""
    calls: dict[CallKey, CallCount] = {}
    tools: dict[ToolCallKey, ToolCallCount] = {}
    refusals: dict[RefusalKey, int] = {}
    whole = Measured(stages={}, totals={}, gauges={})
    for part in parts:
        for key, count in part.calls:
            calls.setdefault(key, CallCount()).join(count)
        for tool, called in part.tools:
            tools.setdefault(tool, ToolCallCount()).join(called)
        for refusal, number in part.refusals:
            refusals[refusal] = refusals.get(refusal, 0) + number
        for stage, spread in part.stages.items():
            whole.stages.setdefault(stage, Spread()).join(spread)
        for sums, more in ((whole.totals, part.totals), (whole.gauges, part.gauges)):
            for name, value in more.items():
                sums[name] = sums.get(name, 0) + value
    whole.calls = sorted(calls.items())
    whole.tools = sorted(tools.items())
    whole.refusals = sorted(refusals.items())
    return whole
