"""The facts of a question that are not its parties: what Cedar calls the context."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from ringfence.decisions.policy.engine import Json
from ringfence.decisions.policy.rule import ARGUMENTS, Path
from ringfence.domain.policy import Question

_TEXT: Json = {"type": "String"}
_WHOLE: Json = {"type": "Long"}
_TEXTS: Json = {"type": "Set", "element": _TEXT}

TYPES: Json = {
    "tier": _TEXT,
    "caller": _TEXT,
    "chain": _TEXTS,
    "depth": _WHOLE,
    "user": {**_TEXT, "required": False},
    "seen": _TEXTS,
    "environment": _TEXT,
    "time": {
        "type": "Record",
        "attributes": {
            "hour": _WHOLE,
            "minute": _WHOLE,
            "weekday": _TEXT,
            "date": _TEXT,
            "now": {"type": "Extension", "name": "datetime"},
        },
    },
}
"""What every action's context holds beside its arguments, in Cedar's JSON format of schemas.

`time` is in the organisation's time zone, `now` is UTC and cut to the minute, so that a decision
holds for a minute.
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_US = 60_000_000
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where everything of an organisation takes place: its time zone, and what it is called."""

    zone: ZoneInfo
    environment: str = ""


def facts(question: Question, place: Surroundings, read: Collection[Path]) -> dict[str, object]:
    """The facts that are read, in Cedar's JSON format; without the arguments."""
    names = {path[0] for path in read} - {ARGUMENTS}
    found: dict[str, object] = {}
    for name in sorted(names):
        match name:
            case "tier":
                found[name] = question.tier.name.lower()
            case "caller":
                found[name] = question.caller_tier.value
            case "chain":
                found[name] = sorted(set(question.chain))
            case "depth":
                found[name] = len(question.chain)
            case "user" if question.user is not None:
                found[name] = question.user
            case "seen":
                found[name] = sorted(question.seen)
            case "environment":
                found[name] = place.environment
            case "time":
                parts = {path[1] for path in read if path[0] == "time" and len(path) > 1}
                known = _time(question.now_us // _MINUTE_US, place.zone)
                found[name] = {part: known[part] for part in parts or known if part in known}
            case _:
                pass  # validation has told whoever wrote it; Cedar finds nothing and says so
    return found


@lru_cache(maxsize=8)
def _time(minute: int, zone: ZoneInfo) -> dict[str, object]:
    moment = _EPOCH + timedelta(minutes=minute)
    local = moment.astimezone(zone)
    return {
        "hour": local.hour,
        "minute": local.minute,
        "weekday": WEEKDAYS[local.weekday()],
        "date": local.date().isoformat(),
        "now": {"__extn": {"fn": "datetime", "arg": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}},
    }
