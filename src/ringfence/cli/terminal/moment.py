"""Times and durations as people read and write them."""

import re
from datetime import UTC, datetime, timedelta

from ringfence.domain.error import UsageError

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO = re.compile(r"(\d{1,9})([smhdw])")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_US_PER_S = 1_000_000


def read_moment(text: str, now_us: int) -> int:
    """UTC microseconds of `2h` (so long ago) or of an ISO date or time, local unless it says more.

    Raises UsageError `time_invalid`.
    """
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return max(0, now_us - int(ago[1]) * _UNITS_S[ago[2]] * _US_PER_S)
    try:
        moment = datetime.fromisoformat(text)
        moment_us = (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        moment_us = -1
    if moment_us < 0:
        raise UsageError(
            "time_invalid",
            f"`{text}` is no time",
            help="write `30m`, `2h` or `7d` (so long ago), or `2026-11-21` or `2026-11-21T14:30`",
        )
    return moment_us


def read_duration_s(text: str) -> int:
    """Seconds of `90s`, `30m`, `2h`, `7d`. Raises UsageError `duration_invalid`."""
    found = _AGO.fullmatch(text)
    if found is None:
        raise UsageError(
            "duration_invalid", f"`{text}` is no duration", help="write `90s`, `30m`, `2h` or `7d`"
        )
    return int(found[1]) * _UNITS_S[found[2]]


def show_moment(moment_us: int) -> str:
    """Local time to the second: `2026-11-21 14:30:05`."""
    return f"{_local(moment_us):%Y-%m-%d %H:%M:%S}"


def show_time(moment_us: int) -> str:
    """Local time of day to the millisecond: `14:30:05.123`."""
    local = _local(moment_us)
    return f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"


def iso(moment_us: int) -> str:
    """UTC in ISO 8601, to the microsecond: `2026-11-21T13:30:05.123456Z`."""
    moment = _EPOCH + moment_us * _MICROSECOND
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}Z"


def show_duration(duration_us: int) -> str:
    """A span in its two largest fitting units: `840 µs`, `12 ms`, `1.25 s`, `2 min 5 s`, `3 h`."""
    if duration_us < 1000:  # noqa: PLR2004 (a millisecond)
        return f"{duration_us} µs"
    if duration_us < _US_PER_S:
        return f"{duration_us / 1000:.0f} ms"
    seconds = duration_us // _US_PER_S
    if seconds < _UNITS_S["m"]:
        return f"{duration_us / _US_PER_S:.2f} s"
    for unit, name, below, smaller in (("d", "d", "h", "h"), ("h", "h", "m", "min")):
        if seconds >= _UNITS_S[unit]:
            return _two(seconds, _UNITS_S[unit], name, _UNITS_S[below], smaller)
    return _two(seconds, _UNITS_S["m"], "min", 1, "s")


def _two(seconds: int, unit_s: int, name: str, below_s: int, smaller: str) -> str:
    whole, rest = divmod(seconds, unit_s)
    rest //= below_s
    return f"{whole} {name} {rest} {smaller}" if rest else f"{whole} {name}"


def _local(moment_us: int) -> datetime:
    return (_EPOCH + moment_us * _MICROSECOND).astimezone()
