"""Breakers: the table is the diagram, and a state machine cannot get lost in it."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.breaker import (
    CREDENTIAL_RULE,
    LONGEST_S,
    TABLE,
    Accusal,
    Breaker,
    Event,
    Reach,
    State,
    advance,
    failure,
    reaches,
    signs,
)
from ringfence.domain.model import BreakerRule, UpstreamKind

RULE = BreakerRule(failures=3, open_s=5.0)
SECOND_US = 1_000_000
DIAGRAM = Path(__file__).parent.parent.parent / "docs" / "limits.md"


def failing(times: int, breaker: Breaker | None = None, now_us: int = 0) -> Breaker:
    breaker = breaker or Breaker()
    for _ in range(times):
        breaker = advance(breaker, failure(breaker, RULE), now_us, RULE, "status 503")
    return breaker


def diagram() -> str:
    """The table as people read it."""
    lines = ["stateDiagram-v2", "  [*] --> closed"]
    for (before, event), after in TABLE.items():
        if before is not after:
            lines.append(f"  {before} --> {after}: {event.replace('_', ' ')}")
    return "\n".join(lines)


def test_the_diagram_in_the_documents_is_the_table() -> None:
    assert diagram() in DIAGRAM.read_text(encoding="utf-8")


def test_every_state_is_reached_and_left() -> None:
    moves = {(before, after) for (before, _), after in TABLE.items() if before is not after}
    assert {before for before, _ in moves} == set(State)
    assert {after for _, after in moves} == set(State)


def test_it_opens_at_the_last_failure_that_the_rule_allows() -> None:
    assert failing(2).state is State.CLOSED
    opened = failing(3, now_us=7)
    assert (opened.state, opened.until_us) == (State.OPEN, 7 + 5 * SECOND_US)
    assert opened.cause == "status 503"


def test_a_success_forgets_failures() -> None:
    assert advance(failing(2), Event.SUCCESS, 0, RULE) == Breaker()


def test_nothing_passes_before_its_time_and_one_probe_after() -> None:
    opened = failing(3)
    assert not opened.passes(5 * SECOND_US - 1)
    assert opened.passes(5 * SECOND_US)
    probing = advance(opened, Event.PROBE, 5 * SECOND_US, RULE)
    assert not probing.passes(3600 * SECOND_US)


def test_each_probe_that_fails_doubles_the_time_up_to_its_bound() -> None:
    breaker, now_us, waits = failing(3), 0, []
    for _ in range(10):
        waits.append((breaker.until_us - now_us) / SECOND_US)
        now_us = breaker.until_us
        breaker = advance(breaker, Event.PROBE, now_us, RULE)
        breaker = advance(breaker, failure(breaker, RULE), now_us, RULE, "status 503")
    assert waits == [5, 10, 20, 40, 80, 160, LONGEST_S, LONGEST_S, LONGEST_S, LONGEST_S]


def test_an_answer_that_only_began_lets_calls_pass_but_forgets_nothing() -> None:
    probing = advance(failing(3), Event.PROBE, 5 * SECOND_US, RULE)
    closed = advance(probing, Event.ANSWER, 5 * SECOND_US, RULE)
    assert closed.passes(5 * SECOND_US)
    again = advance(closed, failure(closed, RULE), 5 * SECOND_US, RULE)
    assert again.state is State.OPEN
    assert again.until_us == 15 * SECOND_US  # longer than the first time
    assert advance(closed, Event.SUCCESS, 5 * SECOND_US, RULE) == Breaker()


def test_a_probe_that_told_nothing_is_made_again_at_once() -> None:
    probing = advance(failing(3), Event.PROBE, 5 * SECOND_US, RULE)
    lapsed = advance(probing, Event.LAPSE, 6 * SECOND_US, RULE)
    assert (lapsed.state, lapsed.passes(6 * SECOND_US)) == (State.OPEN, True)


def test_late_ends_of_earlier_calls_change_nothing_while_it_is_open() -> None:
    opened = failing(3)
    for event in (Event.SUCCESS, Event.FAILURE, Event.LAST_FAILURE, Event.ANSWER, Event.LAPSE):
        assert advance(opened, event, 1, RULE) == opened


def test_a_rule_without_failures_never_opens() -> None:
    rule, breaker = BreakerRule(failures=None), Breaker()
    for _ in range(1000):
        breaker = advance(breaker, failure(breaker, rule), 0, rule)
    assert breaker.state is State.CLOSED


@given(st.lists(st.tuples(st.sampled_from(Event), st.integers(0, 400 * SECOND_US)), max_size=60))
def test_whatever_happens_it_is_never_shut_for_longer_than_its_bound(
    events: list[tuple[Event, int]],
) -> None:
    breaker, now_us = Breaker(), 0
    for drawn, passed_us in events:
        event = drawn
        now_us += passed_us
        if event is Event.PROBE and not breaker.passes(now_us):
            continue
        if event is Event.FAILURE:
            event = failure(breaker, RULE)
        breaker = advance(breaker, event, now_us, RULE)
        assert breaker.until_us <= now_us + LONGEST_S * SECOND_US
        assert breaker.wait_s(now_us) <= LONGEST_S
        if breaker.state is State.CLOSED:
            assert breaker.failures < 3


@pytest.mark.parametrize(
    ("status", "error", "bad"),
    [
        (0, "provider_unavailable", {UpstreamKind.PROVIDER}),
        (0, "provider_timeout", {UpstreamKind.MODEL}),
        (0, "provider_malformed", {UpstreamKind.MODEL}),
        (500, "", {UpstreamKind.MODEL}),
        (529, "", {UpstreamKind.MODEL}),
        (401, "", {UpstreamKind.CREDENTIAL}),
        (403, "", {UpstreamKind.CREDENTIAL}),
        (200, "", set()),
        (400, "", set()),
        (404, "", set()),
        (429, "", set()),
    ],
)
def test_an_attempt_speaks_against_what_failed_and_against_nothing_else(
    status: int, error: str, bad: set[UpstreamKind]
) -> None:
    said = signs(status, error)
    assert {kind for kind, is_good in said.items() if not is_good} == bad


def test_a_refused_credential_says_nothing_of_the_model() -> None:
    assert UpstreamKind.MODEL not in signs(401, "")
    assert CREDENTIAL_RULE.failures == 3


def reached(before: set[Accusal], now: Accusal, status: int = 403) -> dict[Reach, int]:
    of_model = {each for each in before if each.model == now.model}
    return dict(reaches(status, before, of_model, now))


def test_a_403_reaches_as_far_as_different_agents_and_requests_have_met_it() -> None:
    first = Accusal("triage", "small")
    assert reached(set(), first) == {Reach.AGENT: 0}
    assert reached({first}, first) == {Reach.AGENT: 0}
    assert reached({first}, Accusal("triage", "large")) == {Reach.AGENT: 0}
    assert reached({first}, Accusal("second", "small")) == {Reach.AGENT: 0, Reach.MODEL: 2}
    assert reached({first}, Accusal("second", "large")) == {Reach.AGENT: 0, Reach.ALL: 2}


def test_a_401_is_the_credentials_from_the_first() -> None:
    assert reached(set(), Accusal("triage", "small"), 401) == {Reach.ALL: 0}


def test_the_table_names_only_what_there_is() -> None:
    pairs = set(itertools.product(State, Event))
    assert TABLE.keys() <= pairs
