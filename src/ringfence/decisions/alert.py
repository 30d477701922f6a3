"""When a budget deserves somebody's attention: shares that are used up, speed, and where it leads.

Each alert is given once in a window. What a restart finds already used up was told before it.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import final

import msgspec

from ringfence.decisions.period import Line
from ringfence.domain.budget import AccountKey, Per

_SLICES = 24
"""A window's speed is looked at in twenty-fourths: an hour of a day, seven hours of a week."""
_FAST = 6.0
"""So many times the even pace is fast: a quarter of the limit in one slice.

Source: the multi-window burn rates of the SRE Workbook, chapter 5; 6 is its second threshold.
"""
_FORECAST_SLICES = 4
_FORECAST_FLOOR = 0.1
"""A forecast from less than a tenth of the limit would be noise."""
_LASTING = frozenset({Per.HOUR, Per.DAY, Per.WEEK, Per.MONTH, Per.TOTAL})


class AlertKind(StrEnum):
    """Why somebody is told."""

    SHARE = "share"
    """So many per cent of the limit are spent."""
    BURN = "burn"
    """It is being spent many times faster than evenly."""
    FORECAST = "forecast"
    """At the present pace it is used up before its window ends."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell of one account.

    `percent` is the share that was reached, or what is spent. `runs_out_us` is when the limit is
    reached at the present pace, UTC microseconds; None where that is not what is told.
    """

    kind: AlertKind
    line: Line
    percent: int
    runs_out_us: int | None = None


@final
class _Watch:
    """One account in one window: what was told, and what was spent when."""

    __slots__ = ("is_burning", "samples", "start_us", "told")

    def __init__(self, start_us: int, spent: int) -> None:
        self.start_us = start_us
        self.told: set[tuple[AlertKind, int]] = set()
        self.is_burning = False
        self.samples: deque[tuple[int, int]] = deque([(start_us, spent)])


@final
class Alarms:
    """What was told of every lasting account; fed lines now and then, gives what is new."""

    def __init__(self) -> None:
        """Nothing was told yet; begin with `begin`."""
        self._watched: dict[AccountKey, _Watch] = {}

    def begin(self, lines: Sequence[Line], percents: Sequence[int], now_us: int) -> None:
        """Take what is spent already as known: it was told when it happened."""
        for line in lines:
            if _is_watched(line):
                self._watched[line.key] = _Watch(line.window.start_us, line.spent)
        self.observe(lines, percents, now_us)

    def observe(self, lines: Iterable[Line], percents: Sequence[int], now_us: int) -> list[Alert]:
        """What is new since the last time. `percents` rise; times must not go back.

        `lines` are all that there are: what is not among them is over and forgotten.
        """
        before, self._watched = self._watched, {}
        found = []
        for line in lines:
            if line.key in before:
                self._watched[line.key] = before[line.key]
            found += self._of(line, percents, now_us)
        return found

    def _of(self, line: Line, percents: Sequence[int], now_us: int) -> list[Alert]:
        if not _is_watched(line):
            return []
        watch = self._watched.get(line.key)
        if watch is None or watch.start_us != line.window.start_us:
            watch = self._watched[line.key] = _Watch(line.window.start_us, 0)
        found = [*_shares(watch, line, percents), *_paces(watch, line, now_us)]
        return [alert for alert in found if alert is not None]


def _is_watched(line: Line) -> bool:
    return line.key.per in _LASTING and line.limit > 0


def _shares(watch: _Watch, line: Line, percents: Sequence[int]) -> Iterable[Alert | None]:
    """The highest share that was newly reached; those below it go without saying."""
    reached = [each for each in percents if line.spent * 100 >= line.limit * each]
    new = [each for each in reached if (AlertKind.SHARE, each) not in watch.told]
    watch.told.update((AlertKind.SHARE, each) for each in new)
    if new:
        yield Alert(kind=AlertKind.SHARE, line=line, percent=max(new))


def _paces(watch: _Watch, line: Line, now_us: int) -> Iterable[Alert | None]:
    """Speed and forecast; a window without an end has neither."""
    end_us = line.window.end_us
    if end_us is None or end_us <= line.window.start_us:
        return
    slice_us = (end_us - line.window.start_us) / _SLICES
    _sample(watch, line.spent, now_us, slice_us)
    yield _burn(watch, line, now_us, slice_us)
    yield _forecast(watch, line, now_us, slice_us, end_us)


def _sample(watch: _Watch, spent: int, now_us: int, slice_us: float) -> None:
    """Remember what is spent, at most some dozens of times per window."""
    samples = watch.samples
    if now_us - samples[-1][0] >= slice_us / _SLICES:
        samples.append((now_us, spent))
    while len(samples) > 1 and samples[1][0] <= now_us - slice_us * _FORECAST_SLICES:
        samples.popleft()


def _spent_since(watch: _Watch, spent: int, since_us: float) -> int:
    """What was spent after a moment, from the last sample before it."""
    before = watch.samples[0][1]
    for time_us, amount in watch.samples:
        if time_us > since_us:
            break
        before = amount
    return spent - before


def _burn(watch: _Watch, line: Line, now_us: int, slice_us: float) -> Alert | None:
    """Told when it begins; told again only after it has slowed down to half of what is fast."""
    recent = _spent_since(watch, line.spent, now_us - slice_us)
    pace = recent / line.limit * _SLICES
    if pace < _FAST:
        watch.is_burning = watch.is_burning and pace >= _FAST / 2
        return None
    if watch.is_burning:
        return None
    watch.is_burning = True
    return Alert(
        kind=AlertKind.BURN,
        line=line,
        percent=line.spent * 100 // line.limit,
        runs_out_us=_runs_out(line, recent / slice_us, now_us),
    )


def _forecast(watch: _Watch, line: Line, now_us: int, slice_us: float, end_us: int) -> Alert | None:
    seen_us = min(slice_us * _FORECAST_SLICES, now_us - line.window.start_us)
    key = (AlertKind.FORECAST, 0)
    if key in watch.told or seen_us < slice_us or line.spent < line.limit * _FORECAST_FLOOR:
        return None
    per_us = _spent_since(watch, line.spent, now_us - seen_us) / seen_us
    if line.spent >= line.limit or line.spent + per_us * (end_us - now_us) <= line.limit:
        return None
    watch.told.add(key)
    return Alert(
        kind=AlertKind.FORECAST,
        line=line,
        percent=line.spent * 100 // line.limit,
        runs_out_us=_runs_out(line, per_us, now_us),
    )


def _runs_out(line: Line, per_us: float, now_us: int) -> int | None:
    return None if per_us <= 0 else now_us + max(0, round((line.limit - line.spent) / per_us))
