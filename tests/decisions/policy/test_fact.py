from zoneinfo import ZoneInfo

from tests.decisions.policy.asking import question

from ringfence.decisions.policy.fact import TYPES, Surroundings, facts
from ringfence.domain.caller import CallerTier

_BERLIN = Surroundings(zone=ZoneInfo("Europe/Berlin"), environment="staging")


def test_time_is_told_in_the_organisations_zone() -> None:
    found = facts(question(), _BERLIN, [("time",)])
    assert found == {
        "time": {
            "hour": 13,
            "minute": 0,
            "weekday": "saturday",
            "date": "2026-11-21",
            "now": {"__extn": {"fn": "datetime", "arg": "2026-11-21T12:00:00Z"}},
        }
    }


def test_only_what_is_read_is_told() -> None:
    assert facts(question(), _BERLIN, [("time", "hour"), ("arguments", "x")]) == {
        "time": {"hour": 13}
    }
    assert facts(question(), _BERLIN, []) == {}


def test_who_calls_and_for_whom_is_told() -> None:
    asked = question(
        caller_tier=CallerTier.BACKGROUND,
        chain=("ann@acme.example", "root", "triage"),
        user="ann@acme.example",
        seen=frozenset({"untrusted", "customer_data"}),
    )
    read = [("caller",), ("chain",), ("depth",), ("user",), ("seen",), ("tier",)]
    assert facts(asked, _BERLIN, read) == {
        "caller": "background",
        "chain": ["ann@acme.example", "root", "triage"],
        "depth": 3,
        "user": "ann@acme.example",
        "seen": ["customer_data", "untrusted"],
        "tier": "consequential",
    }


def test_nobody_is_no_user() -> None:
    assert facts(question(), _BERLIN, [("user",)]) == {}


def test_every_fact_that_is_declared_can_be_told() -> None:
    asked = question(user="ann")
    assert facts(asked, _BERLIN, [(name,) for name in TYPES]).keys() == TYPES.keys()


def test_where_it_takes_place_is_told() -> None:
    assert facts(question(), _BERLIN, [("environment",)]) == {"environment": "staging"}
