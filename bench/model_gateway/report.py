"""Tables of what was measured, with everything needed to measure it again."""

import argparse
import platform
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.model_gateway.run import Named, Standing
from bench.model_gateway.subject import NotInstallableError, run_quietly

_MARK = "measured"


def tables(
    standings: Sequence[Standing],
    scenarios: Sequence[Named],
    options: argparse.Namespace,
    module: str = "bench.model_gateway",
) -> str:
    """All tables as Markdown, with the command that makes them again."""
    present = [standing for standing in standings if not standing.missing]
    direct = present[0]
    measured = [standing for standing in present if standing is not direct]
    parts = [
        _setting(options, module),
        _subjects(standings),
        "### CPU per call, in µs (user and system, whole process tree)\n",
        _table(measured, scenarios, lambda s, row: s.cpu_us(row), "{:,.0f}"),
        "### CPU per call, as a multiple of the first column\n",
        _table(measured, scenarios, lambda s, row: _ratio(s, measured[0], row), "{:,.1f}×"),
        "### Latency added to the median, in ms\n",
        _table(measured, scenarios, lambda s, row: _added(s.p50_us, direct.p50_us, row), "{:,.2f}"),
        "### Latency added to the 99th percentile, in ms\n",
        _table(measured, scenarios, lambda s, row: _added(s.p99_us, direct.p99_us, row), "{:,.2f}"),
        "### Calls per second\n",
        _table(present, scenarios, lambda s, row: s.per_second(row), "{:,.0f}"),
        "### Notes of the run\n",
        "\n".join(f"- {s.name}: {note}" for s in standings for note in dict.fromkeys(s.notes)),
    ]
    return "\n".join(parts) + "\n"


def write(path: Path, text: str, mark: str = _MARK) -> None:
    """Put the tables between their marks in the results page; what people wrote around it stays."""
    first, last = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    page = path.read_text() if path.exists() else f"# Results\n\n{first}\n{last}\n"
    begin, end = page.index(first) + len(first), page.index(last)
    path.write_text(f"{page[:begin]}\n\n{text}\n{page[end:]}")


def _setting(options: argparse.Namespace, module: str) -> str:
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    try:
        commit = run_quietly(["git", "rev-parse", "--short", "HEAD"]).strip()
    except NotInstallableError:
        commit = "unknown"
    extra = " --every" if getattr(options, "every", False) else ""
    return (
        f"`python -m {module}{extra} --rounds {options.rounds} "
        f"--seconds {options.seconds}` on {datetime.now(UTC):%Y-%m-%d}, commit {commit}; "  # noqa: TID251 (the date of a measurement)
        f"{cpu[1] if cpu else 'unknown CPU'}, Linux {platform.release()}, "
        f"Python {platform.python_version()}. Medians of {options.rounds} interleaved rounds; the "
        "subject and all its children on one core, load and upstream on the other.\n"
    )


def _subjects(standings: Sequence[Standing]) -> str:
    lines = [
        "| subject | version | what it does | ready after | memory ready | memory after the run |",
        "|---|---|---|--:|--:|--:|",
    ]
    for each in standings:
        if each.missing:
            lines.append(f"| {each.name} | not measured: {_cell(each.missing)} | | | | |")
        elif each.version:
            lines.append(
                f"| {each.name} | {each.version} | {each.does} | {each.ready_s:.2f} s | "
                f"{each.rss_ready_mb:.0f} MB | {each.rss_end_mb:.0f} MB |"
            )
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")


def _table(
    standings: Sequence[Standing],
    scenarios: Sequence[Named],
    value: Callable[[Standing, Named], float | None],
    form: str,
) -> str:
    names = [each.name for each in standings]
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "--:|" * len(names)]
    for scenario in scenarios:
        found = [value(each, scenario) for each in standings]
        cells = [form.format(one) if one is not None else "failed" for one in found]
        lines.append(f"| {scenario.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _ratio(standing: Standing, first: Standing, scenario: Named) -> float | None:
    mine, theirs = standing.cpu_us(scenario), first.cpu_us(scenario)
    return mine / theirs if mine is not None and theirs else None


def _added(
    mine: Callable[[Named], float | None],
    direct: Callable[[Named], float | None],
    scenario: Named,
) -> float | None:
    total, base = mine(scenario), direct(scenario)
    return (total - base) / 1000 if total is not None and base is not None else None
