import sqlite3
from pathlib import Path

import pytest
from tests.stores.ledger.event import intent, outcome
from tests.stores.ledger.writing import write

from ringfence.decisions.input_bound import FRAMING_TOKENS, PPM, Evidence
from ringfence.domain.event import AnyEvent, Attempt, Intent, Outcome
from ringfence.domain.usage import Usage
from ringfence.stores.ledger import experience
from ringfence.stores.ledger.experience import read_evidence, read_objects
from ringfence.stores.ledger.sqlite_rows import SqliteRows

_KEY = ("org_a", "small")


def call(
    action: str, size: int, tokens: int, *, is_estimated: bool = False
) -> tuple[Intent, Outcome]:
    one = intent(action, body_bytes=size)
    usage = Usage(input_tokens=tokens, output_tokens=1, estimated=is_estimated)
    return one, outcome(one, usage=usage)


def rows_of(log: sqlite3.Connection) -> SqliteRows:
    return SqliteRows("log_1", Path("log_1.db"), log)


def learned(log: sqlite3.Connection, *events: AnyEvent) -> Evidence | None:
    write(log, [list(events)])
    evidence: dict[tuple[str, str], Evidence] = {}
    read_evidence(rows_of(log), evidence)
    return evidence.get(_KEY)


def test_the_highest_ratio_of_telling_bodies_is_learned_again(log: sqlite3.Connection) -> None:
    calls = [call("act_1", 4000, 1000), call("act_2", 4000, 2000), call("act_3", 8000, 100)]
    seen = learned(log, *(event for both in calls for event in both))
    assert seen == Evidence(calls=3, bytes=16_000, highest_ppm=PPM // 2)


def test_a_tiny_body_does_not_raise_the_ratio(log: sqlite3.Connection) -> None:
    """Ten tokens of framing around two bytes are no five tokens a byte."""
    assert learned(log, *call("act_1", 2, 10)) == Evidence(framing_tokens=FRAMING_TOKENS)


def test_an_image_does_not_raise_the_ratio(log: sqlite3.Connection) -> None:
    one, done = call("act_1", 4000, 30_000)
    one.beyond_text = True
    assert learned(log, one, done) is None


def test_an_estimate_teaches_nothing(log: sqlite3.Connection) -> None:
    assert learned(log, *call("act_1", 4000, 3000, is_estimated=True)) is None


def test_another_models_count_teaches_nothing_of_the_first(log: sqlite3.Connection) -> None:
    one, done = call("act_1", 4000, 3000)
    one.provider, one.upstream = "openai", "gpt"
    done.attempts = [
        Attempt(provider="openai", upstream="gpt", error="unreachable"),
        Attempt(provider="house", upstream="llama", status=200),
    ]
    assert learned(log, one, done) is None


def made(number: int, *, operation: str = "responses") -> tuple[Intent, Outcome]:
    one = intent(f"act_{number}", operation=operation)
    done = outcome(one, usage=Usage(input_tokens=number, output_tokens=5))
    done.provider_object = f"obj_{number}"
    return one, done


def test_objects_of_responses_calls_are_found_newest_first(log: sqlite3.Connection) -> None:
    write(log, [[*made(1)], [*made(2, operation="chat"), made(3)[0]], [made(3)[1]]])
    assert [(each.name, each.agent, each.tokens) for each in read_objects(rows_of(log))] == [
        ("obj_3", "agt_1", 8),
        ("obj_1", "agt_1", 6),
    ]


def test_an_object_without_a_count_stays_unknown(log: sqlite3.Connection) -> None:
    one, done = made(1)
    done.usage = None
    write(log, [[one, done]])
    assert read_objects(rows_of(log)) == []


def test_only_so_many_objects_are_read(
    log: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experience, "_MOST_OBJECTS", 3)
    write(log, [[*made(number)] for number in range(1, 9)])
    assert [each.name for each in read_objects(rows_of(log))] == ["obj_8", "obj_7", "obj_6"]
    monkeypatch.setattr(experience, "_SEARCHED_EVENTS", 4)
    assert [each.name for each in read_objects(rows_of(log))] == ["obj_8", "obj_7"]
