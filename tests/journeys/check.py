"""What both kinds of journeys claim of what the user saw."""

from collections.abc import Sequence
from typing import Any

from tests.journeys import play
from tests.journeys.journey import Journey
from tests.journeys.report import Report

from ringfence.testing.model.journal import Entry


def check_talk(report: Report, seen: dict[str, Any]) -> None:
    """The user saw every answer, and the tool's result went round."""
    report.contains("stream", seen["stream"], play.STREAMED)
    if "whole" in seen:
        report.contains("whole", seen["whole"], play.WHOLE)
    report.contains("tool", seen["tool"], play.TOOL_SAID)
    report.contains("tool", seen["tool"], play.WEATHER)
    report.contains("tool results", " ".join(seen["tool_results"]), play.WEATHER)
    for text, expected in zip(seen["turns"], (play.FIRST, play.SECOND), strict=True):
        report.contains("turns", text, expected)


def check_refused(
    report: Report, turns: list[dict[str, str]], message: str, *, answered: int
) -> None:
    """The user saw so many answers, and then our message."""
    texts = [turn["text"] for turn in turns if "text" in turn]
    report.claim(len(texts) >= answered, f"only {len(texts)} turns answered: {turns!r}")
    report.contains("shown", _shown(report, turns[answered:]), message)


def check_stopped(report: Report, turns: list[dict[str, str]], messages: Sequence[str]) -> None:
    """The user saw one of these messages: that of the stop, or that of a call repeated after it."""
    shown = " ".join(_shown(report, turns).split())
    found = any(" ".join(message.split()) in shown for message in messages)
    report.claim(found, f"shown: none of {messages!r} in {shown[:600]!r}")


def _shown(report: Report, turns: list[dict[str, str]]) -> str:
    shown = " ".join(turn.get("text", turn.get("error", "")) for turn in turns)
    report.figures["shown"] = shown[-400:]
    return shown


def line(entry: Entry) -> str:
    """What a failed journey is explained by."""
    asked = f"turn {entry.turn} {entry.user[:80]!r} stream={entry.stream} {entry.tools}"
    return f"{entry.method} {entry.path} {asked} -> {entry.status} {entry.ending}"


def times(expected: int | None, journey: Journey) -> int | None:
    """The figure of the refusal table, for a framework that repeats what its SDK reports."""
    return None if expected is None else expected * journey.tries
