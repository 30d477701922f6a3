"""What is claimed of each case through the plane: three accounts of one run are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from tests.journeys import play
from tests.journeys.check import check_refused, check_stopped, check_talk, times
from tests.journeys.journey import Journey
from tests.journeys.plane import PROVIDER_KEY, cost_nano
from tests.journeys.report import Report

from ringfence.domain.verdict import Code
from ringfence.protocols import refusal
from ringfence.protocols.headers import ON_BEHALF_OF
from ringfence.protocols.hint import MARK
from ringfence.testing.model.journal import Entry, digest

_CUT = "Ringfence cut this answer"

Steps = list[dict[str, Any]]
Events = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """What came of driving a client, before anything is read back from the plane."""

    seen: dict[str, Any]
    requests: int
    """Model calls on the wire between the client and the plane."""
    entries: Sequence[Entry]
    """Model calls that reached the provider."""
    bodies: Sequence[bytes]
    """What the provider read in each."""
    secrets: Sequence[str] = ()
    """What must not have reached the provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the plane's command line says of the run."""

    steps: Steps
    events: Events = field(default_factory=list)
    workers: int = 1


def talk(report: Report, journey: Journey, driven: Driven, record: Record) -> None:
    """Every call is in the trace with its tokens and its cost."""
    del journey
    steps = record.steps
    check_talk(report, driven.seen)
    report.equal("requests", driven.requests, len(steps))
    report.equal("provider", len(driven.entries), len(steps))
    report.claim(not any(step["is_refused"] for step in steps), "a step was refused")
    _same_figures(report, steps, driven.entries)


def between(report: Report, journey: Journey, driven: Driven, record: Record) -> None:
    """The budget affords one call; the next is refused."""
    refused = _refused(record.steps)
    report.equal("refused steps", len(refused), 1)
    check_refused(report, driven.seen["turns"], _message(refused), answered=1)
    expected = refusal.expected_requests(Code.BUDGET_EXHAUSTED, journey.row)
    report.equal("requests", driven.requests - 1, times(expected, journey))
    report.equal("provider", len(driven.entries), 1)
    limits = [entry.output_limit for entry in driven.entries]
    report.equal("output limits", limits, [play.OUTPUT_LIMIT])


def behalf(report: Report, journey: Journey, driven: Driven, record: Record) -> None:
    """As `between`, but the money is the user's; the chain says so, and the proof stays here."""
    between(report, journey, driven, record)
    holders = {step["decision"]["facts"].get("budget", "") for step in _refused(record.steps)}
    report.claim(
        all(holder.startswith("user ") for holder in holders), f"refused by {holders}, not by user"
    )
    calls = [event for event in record.events if event["kind"] in {"intent", "refusal"}]
    report.equal("events of the user", len(calls), len(record.steps))
    chains = {tuple(part.partition("_")[0] for part in event["chain"]) for event in calls}
    report.equal("chain", sorted(chains), [("user", "agt")])
    for entry, body in zip(driven.entries, driven.bodies, strict=True):
        sent = (*entry.headers, *entry.headers.values(), *entry.query.values(), body.decode())
        told = [part for part in (*driven.secrets, ON_BEHALF_OF.decode()) if part in str(sent)]
        report.claim(not told, "the user's proof reached the provider")


def midstream(report: Report, journey: Journey, driven: Driven, record: Record) -> None:
    """The provider ignores the limit; the plane cuts the stream, and the stop holds."""
    refused = _refused(record.steps)
    report.claim(len(refused) <= 1, f"{len(refused)} steps for one refusal")
    messages = [step["decision"]["message"] for step in refused]
    check_stopped(report, driven.seen["turns"], [_CUT, *messages])
    expected = refusal.expected_requests_after_stop(journey.dialect, journey.row)
    report.equal("requests", driven.requests, times(expected, journey))
    report.equal("provider", len(driven.entries), 1)
    statuses = [step["status"] for step in record.steps if not step["is_refused"]]
    report.equal("cut", statuses, ["cut"])


def loop(report: Report, journey: Journey, driven: Driven, record: Record) -> None:
    """The same tool with the same result: the model is told at first, then the run is stopped."""
    steps = record.steps
    refused = _refused(steps)
    codes = [step["decision"]["code"] for step in refused]
    report.equal("refused", codes, [Code.LOOP_DETECTED.value])
    check_refused(report, driven.seen["turns"], _message(refused), answered=0)
    expected = refusal.expected_requests(Code.LOOP_DETECTED, journey.row)
    report.equal("requests", driven.requests - play.STOPPED_AFTER, times(expected, journey))
    report.equal("provider", len(driven.entries), play.STOPPED_AFTER)
    hinted = [number for number, body in enumerate(driven.bodies) if MARK.encode() in body]
    report.equal("hinted", hinted, list(range(play.HINTED_AFTER, play.STOPPED_AFTER)))
    _same_figures(report, [step for step in steps if not step["is_refused"]], driven.entries)
    found = [event for event in record.events if event.get("what") == "finding.loop"]
    *noticed, stopped = [event["detail"].get("stops", "") for event in found] or [""]
    report.figures["findings"] = len(found)
    # Each worker that has part in a run notices its loop once.
    report.claim(
        1 <= len(noticed) <= record.workers and not any(noticed) and stopped == "true",
        f"findings: {found}",
    )


def recorded(steps: Steps) -> int:
    """How many requests the trace accounts for."""
    return sum(1 + step["repeats"] for step in steps)


def _refused(steps: Steps) -> Steps:
    return [step for step in steps if step["is_refused"]]


def _message(refused: Steps) -> str:
    return refused[0]["decision"]["message"] if refused else "(nothing was refused)"


def _same_figures(report: Report, steps: Steps, entries: Sequence[Entry]) -> None:
    for step, entry in zip(steps, entries, strict=False):
        _same(report, step, entry)
    report.figures["cost_nano"] = sum(int(step["cost_nano"]) for step in steps)
    report.figures["tokens"] = {
        name: sum((step["usage"] or {}).get(name, 0) for step in steps)
        for name in ("input_tokens", "output_tokens")
    }


def _same(report: Report, step: Mapping[str, Any], entry: Entry) -> None:
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
    report.claim(bool(sent) and sent <= keys, f"{where}: other credentials reached the provider")
