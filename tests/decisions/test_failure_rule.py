import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.failure_rule import (
    CACHE_S,
    INHERITED,
    LONGEST_WAIT_S,
    Again,
    Elsewhere,
    Failed,
    Standing,
    alternative,
    cache_s,
    decide,
    failure_of,
    first,
    is_idempotent,
    key_of,
    labels_of,
    price_of,
    remedies,
)
from ringfence.domain.tool import PermissionTier, ToolKey
from ringfence.domain.tool_rule import FINAL, USUAL, FailureRule, Remedy, ToolFailure, ToolRules

KEY = ToolKey(server="crm", name="get_job")
READ, WRITE = PermissionTier.READ, PermissionTier.WRITE
FRESH = Standing(left_s=60)


def rule(failure: ToolFailure, *steps: Remedy, pattern: str = "*", **more: object) -> FailureRule:
    return FailureRule(pattern=pattern, remedies=((failure, steps),), **more)  # type: ignore[arg-type] # fields


def failing(failure: ToolFailure = ToolFailure.SERVER_ERROR, **more: object) -> Failed:
    return Failed(failure=failure, **more)  # type: ignore[arg-type] # fields


def test_every_failure_has_an_end_that_is_inherited() -> None:
    assert INHERITED.keys() == set(ToolFailure)
    for failure in ToolFailure:
        assert remedies(USUAL, "any", failure)[-1] in FINAL


def test_a_rule_for_some_tools_comes_before_that_for_all() -> None:
    rules = ToolRules(
        failures=(
            rule(ToolFailure.AWAY, Remedy.STOP, pattern="get_*"),
            rule(ToolFailure.AWAY, Remedy.CACHED),
        )
    )
    assert remedies(rules, "get_job", ToolFailure.AWAY) == (Remedy.STOP,)
    assert remedies(rules, "add_job", ToolFailure.AWAY) == (Remedy.CACHED, Remedy.TELL)
    assert remedies(rules, "get_job", ToolFailure.TIMEOUT) == INHERITED[ToolFailure.TIMEOUT]


def test_what_only_reads_is_tried_again_and_a_little_later_each_time() -> None:
    waits = []
    for tries in (1, 2, 3):
        step = decide(USUAL, KEY, READ, failing(), Standing(tries=tries, left_s=60))
        waits.append(step.after_s if isinstance(step, Again) else step)
    assert waits == [0.25, 1.0, Remedy.TELL]


@pytest.mark.parametrize("failure", [ToolFailure.TIMEOUT, ToolFailure.SERVER_ERROR])
def test_what_may_have_had_an_effect_is_not_repeated_unless_declared(failure: ToolFailure) -> None:
    assert decide(USUAL, KEY, WRITE, failing(failure), FRESH) is Remedy.TELL
    unsent = failing(failure, was_sent=False)
    assert isinstance(decide(USUAL, KEY, WRITE, unsent, FRESH), Again)
    declared = ToolRules(idempotent=("get_*",))
    assert isinstance(decide(declared, KEY, WRITE, failing(failure), FRESH), Again)


@given(
    st.sampled_from(ToolFailure),
    st.lists(st.sampled_from(Remedy), max_size=4),
    st.sampled_from([WRITE, PermissionTier.CONSEQUENTIAL, PermissionTier.IRREVERSIBLE]),
)
def test_no_rule_repeats_what_was_sent_and_is_not_idempotent(
    failure: ToolFailure, steps: list[Remedy], tier: PermissionTier
) -> None:
    rules = ToolRules(failures=(rule(failure, *steps),), retries=5)
    assert not isinstance(decide(rules, KEY, tier, failing(failure), FRESH), Again)


def test_a_wait_is_what_the_server_asks_for_if_there_is_time_for_it() -> None:
    busy = failing(ToolFailure.RATE_LIMITED, retry_after_s=3.0)
    assert decide(USUAL, KEY, READ, busy, FRESH) == Again(after_s=3.0)
    assert decide(USUAL, KEY, READ, busy, Standing(left_s=2)) is Remedy.TELL
    long = failing(ToolFailure.RATE_LIMITED, retry_after_s=LONGEST_WAIT_S + 1)
    assert decide(USUAL, KEY, READ, long, FRESH) is Remedy.TELL


def test_a_cached_answer_serves_while_it_is_young_enough() -> None:
    rules = ToolRules(failures=(rule(ToolFailure.AWAY, Remedy.CACHED, cache_s=60),))
    away = failing(ToolFailure.AWAY)
    assert decide(rules, KEY, READ, away, Standing(cached_age_s=60)) is Remedy.CACHED
    assert decide(rules, KEY, READ, away, Standing(cached_age_s=61)) is Remedy.TELL
    assert decide(rules, KEY, READ, away, Standing()) is Remedy.TELL


def test_answers_are_kept_only_where_they_may_be_used() -> None:
    assert cache_s(USUAL, "get_job") == 0
    cached = rule(ToolFailure.AWAY, Remedy.CACHED, pattern="get_*")
    assert cache_s(ToolRules(failures=(cached,)), "get_job") == CACHE_S
    assert cache_s(ToolRules(failures=(cached,)), "add_job") == 0


def test_another_tool_is_asked_once() -> None:
    rules = ToolRules(
        failures=(rule(ToolFailure.AWAY, Remedy.ALTERNATIVE, alternative="mirror__get_job"),)
    )
    away = failing(ToolFailure.AWAY)
    mirror = ToolKey(server="mirror", name="get_job")
    assert decide(rules, KEY, READ, away, FRESH) == Elsewhere(key=mirror)
    assert decide(rules, KEY, READ, away, Standing(may_alternate=False)) is Remedy.TELL
    assert alternative(rules, KEY) == mirror
    assert alternative(USUAL, KEY) is None
    assert key_of("search", "crm") == ToolKey(server="crm", name="search")


@pytest.mark.parametrize(
    ("status", "error", "failure"),
    [
        (200, "", None),
        (202, "", None),
        (400, "", ToolFailure.MALFORMED),
        (401, "", ToolFailure.UNAUTHORIZED),
        (403, "", ToolFailure.FORBIDDEN),
        (404, "", ToolFailure.NOT_FOUND),
        (408, "", ToolFailure.TIMEOUT),
        (429, "", ToolFailure.RATE_LIMITED),
        (500, "", ToolFailure.SERVER_ERROR),
        (503, "", ToolFailure.SERVER_ERROR),
        (504, "", ToolFailure.TIMEOUT),
        (0, "provider_timeout", ToolFailure.TIMEOUT),
        (0, "provider_unavailable", ToolFailure.AWAY),
        (200, "provider_malformed", ToolFailure.MALFORMED),
        (0, "circuit_open", ToolFailure.AWAY),
    ],
)
def test_statuses_and_errors_are_told_apart(
    status: int, error: str, failure: ToolFailure | None
) -> None:
    assert failure_of(status, error) is failure


def test_prices_labels_and_patterns_take_the_first_that_fits() -> None:
    rules = ToolRules(
        prices=(("get_*", 5), ("*", 1)), labels=(("get_mail", frozenset({"untrusted"})),)
    )
    assert (price_of(rules, "get_job"), price_of(rules, "add"), price_of(USUAL, "x")) == (5, 1, 0)
    assert labels_of(rules, "get_mail") == {"untrusted"}
    assert labels_of(rules, "get_job") == frozenset()
    assert first("a", [("b", 1)], 2) == 2
    assert is_idempotent(ToolRules(idempotent=("put_*",)), WRITE, "put_x")
    assert not is_idempotent(USUAL, WRITE, "get_job")
