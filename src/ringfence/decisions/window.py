"""Windows of budgets: which span of time an instant belongs to, in an organisation's zone."""

from datetime import UTC, datetime, timedelta, tzinfo

from ringfence.domain.budget import Per, Window

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND_US = 1_000_000
_HOUR_US = 3_600 * _SECOND_US
_ENDLESS = Window(0, None)

_latest: dict[tuple[Per, tzinfo], Window] = {}
"""The last window given for each kind and zone; a memo that never changes an answer."""


def window_of(per: Per, now_us: int, tz: tzinfo) -> Window:
    """The window that holds `now_us`; `invocation`, `tree` and `total` have one without end.

    Days, weeks (from Monday) and months begin at local midnight, so that a day may last 23 or 25
    hours. Hours last 60 minutes and are aligned to the local clock.
    """
    if per in _STARTS:
        known = _latest.get((per, tz))
        if known is not None and known.start_us <= now_us < (known.end_us or 0):
            return known
        window = _latest[per, tz] = _calendar(per, now_us, tz)
        return window
    return _hour(now_us, tz) if per is Per.HOUR else _ENDLESS


def local_time(instant_us: int, tz: tzinfo) -> datetime:
    """The instant as people in that zone write it; exact to the microsecond."""
    return (_EPOCH + timedelta(microseconds=instant_us)).astimezone(tz)


def _hour(now_us: int, tz: tzinfo) -> Window:
    offset_us = (local_time(now_us, tz).utcoffset() or timedelta()) // _MICROSECOND
    start_us = now_us - (now_us + offset_us) % _HOUR_US
    return Window(start_us, start_us + _HOUR_US)


def _calendar(per: Per, now_us: int, tz: tzinfo) -> Window:
    """Windows are the spans between successive first midnights, so that they never overlap.

    Where clocks go back over midnight, a date occurs twice: its second half belongs to the next
    window, which has already begun.
    """
    start = _STARTS[per](local_time(now_us, tz).replace(hour=0, minute=0, second=0, microsecond=0))
    start_us, end_us = _instant(start), _instant(_next(per, start))
    if now_us >= end_us:
        start_us, end_us = end_us, _instant(_next(per, _next(per, start)))
    elif now_us < start_us:
        start_us, end_us = _instant(_STARTS[per](start - timedelta(days=1))), start_us
    return Window(start_us, end_us)


def _next(per: Per, start: datetime) -> datetime:
    if per is Per.MONTH:
        return (start + timedelta(days=31)).replace(day=1)
    return start + timedelta(days=7 if per is Per.WEEK else 1)


def _instant(local: datetime) -> int:
    return (local.replace(fold=0) - _EPOCH) // _MICROSECOND


def _day(midnight: datetime) -> datetime:
    return midnight


def _week(midnight: datetime) -> datetime:
    return midnight - timedelta(days=midnight.weekday())


def _month(midnight: datetime) -> datetime:
    return midnight.replace(day=1)


_STARTS = {Per.DAY: _day, Per.WEEK: _week, Per.MONTH: _month}
