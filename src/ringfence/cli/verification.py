"""`ringfence audit verify`: say whether the record holds, and exactly where it does not."""

import sys
from collections.abc import Iterator

import msgspec

from ringfence.analysis.verification import Finding
from ringfence.cli.terminal.style import Style
from ringfence.cli.terminal.text import counted, harmless
from ringfence.stores.verification import Report

_SHOWN = 200


class _Document(msgspec.Struct):
    """The report as JSON; `findings` is empty if and only if `holds`."""

    holds: bool
    findings: list[dict[str, str | int]]
    left_out: int
    remarks: list[str]
    cannot_exclude: list[str]
    unknown_outcomes: list[str]
    unknown_outcome_count: int
    key: str
    logs: int
    events: int
    checkpoints: int
    bodies: int
    bodies_absent: int


def document(report: Report) -> bytes:
    """The report for programs."""
    findings: list[dict[str, str | int]] = [
        {
            "fault": one.fault.value,
            "log": one.log,
            "first": one.first,
            "last": one.last,
            "id": one.id,
            "text": one.text,
        }
        for one in report.findings
    ]
    return msgspec.json.encode(
        _Document(
            holds=report.holds,
            findings=findings,
            left_out=report.left_out,
            remarks=report.remarks,
            cannot_exclude=report.limits,
            unknown_outcomes=report.unknown,
            unknown_outcome_count=report.unknown_count,
            key=report.key,
            logs=report.logs,
            events=report.events,
            checkpoints=report.checkpoints,
            bodies=report.bodies,
            bodies_absent=report.bodies_absent,
        )
    )


def lines(report: Report) -> Iterator[str]:
    """The report for people."""
    style = Style.of(sys.stdout)
    for one in report.findings[:_SHOWN]:
        yield harmless(describe(one))
    more = len(report.findings) - _SHOWN + report.left_out
    if more > 0:
        yield style.dim(f"… and {more} more; --json gives up to 10,000")
    for remark in report.remarks:
        yield harmless(f"note: {remark}")
    if report.unknown_count:
        yield f"note: {report.unknown_count} calls have an unknown outcome: their process ended"
        yield from (f"  {harmless(action)}" for action in report.unknown[:_SHOWN])
    verdict = "holds" if report.holds else "does not hold"
    yield style.bold(f"the record {verdict}") + (
        f": {counted(report.logs, 'log')}, {counted(report.events, 'event')},"
        f" {counted(report.checkpoints, 'checkpoint')}, {_bodies(report.bodies)}"
    )
    if report.key:
        yield f"key: {harmless(report.key)}"
    yield "this cannot exclude:"
    yield from (f"  - {limit}" for limit in report.limits)


def _bodies(count: int) -> str:
    return f"{count:,} {'body' if count == 1 else 'bodies'}"


def describe(one: Finding) -> str:
    """One finding on one line: what, where, which event, why."""
    what = one.fault.value.replace("_", " ")
    where = f" log {one.log}" if one.log else ""
    if one.first:
        where += f" event {one.first}" if one.first == one.last else f" events {one.first}"
        where += f" to {one.last}" if one.first != one.last else ""
    which = f" ({one.id})" if one.id else ""
    why = f": {one.text}" if one.text else ""
    return f"{what}:{where}{which}{why}"
