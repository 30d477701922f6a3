"""Counted limits hold for an invocation and everything below it."""

from ringfence.decisions.budget import Book
from ringfence.decisions.limit import (
    Counted,
    TreeCounts,
    counted,
    deadline,
    deadline_us,
    sub_agent,
    used_up,
)
from ringfence.decisions.reservation import Reservation, Shortfall
from ringfence.domain.agent import Agent, Category, Limits
from ringfence.domain.budget import Unit
from ringfence.domain.money import Money
from ringfence.domain.organisation import User
from ringfence.domain.verdict import Code, Deny, Reason, Throttle

SECOND_US = 1_000_000


def agent(limits: Limits) -> Agent:
    return Agent(
        name="triage",
        owner="o@x",
        team=None,
        category=Category.BOUNDED,
        purpose="",
        limits=limits,
    )


def refused(found: Reason | None) -> dict[str, str]:
    assert found is not None
    assert found.code is Code.LIMIT_REACHED
    return dict(found.facts)


def reserve(book: Book, held: Counted, tokens: int = 0, now_us: int = 0) -> Reservation | Shortfall:
    return book.reserve((), Money(0), now_us, held.of(tokens))


def refused_call(agent: Agent, found: Reservation | Shortfall) -> dict[str, str]:
    assert isinstance(found, Shortfall)
    verdict = used_up(agent, None, found, 0)
    assert isinstance(verdict, Deny)
    return refused(verdict.reason)


def test_a_tree_makes_so_many_model_calls_and_no_more() -> None:
    two, book = agent(Limits(model_calls=2)), Book()
    held = counted("org_1", "inv_1", two)
    assert isinstance(reserve(book, held), Reservation)
    assert isinstance(reserve(book, held), Reservation)
    facts = refused_call(two, reserve(book, held))
    assert (facts["limit"], facts["allowed"]) == ("model_calls", "2")


def test_calls_are_counted_without_a_limit_for_one_that_comes_with_a_reload() -> None:
    book, limited = Book(), agent(Limits(model_calls=1))
    assert isinstance(reserve(book, counted("org_1", "inv_1", agent(Limits()))), Reservation)
    refused_call(limited, reserve(book, counted("org_1", "inv_1", limited)))
    assert isinstance(reserve(book, counted("org_1", "inv_2", limited)), Reservation)


def test_a_call_that_was_not_made_is_not_counted() -> None:
    book, held = Book(), counted("org_1", "inv_1", agent(Limits(model_calls=1)))
    first = reserve(book, held)
    assert isinstance(first, Reservation)
    book.release(first)
    assert isinstance(reserve(book, held), Reservation)


def test_tokens_are_set_aside_at_their_worst_and_settled_at_what_was_used() -> None:
    some, book = agent(Limits(tokens=1_000)), Book()
    held = counted("org_1", "inv_1", some)
    first = reserve(book, held, 900)
    assert isinstance(first, Reservation)
    facts = refused_call(some, reserve(book, held, 101))
    assert (facts["limit"], facts["allowed"]) == ("tokens", "1000")
    book.settle(first, Money(0), 300)
    refused_call(
        some, reserve(book, held, 101)
    )  # the rest is withheld until the outcome is durable
    book.free(first)
    book.free(first)
    second = reserve(book, held, 700)
    assert isinstance(second, Reservation)
    # Where nobody knows what was used, it is all that was set aside.
    book.settle(second, Money(0), None)
    refused_call(some, reserve(book, held, 1))


def test_a_user_makes_so_many_calls_in_any_minute_and_is_told_when_to_come_back() -> None:
    user, book = User(name="u@x", id="user_1", calls_per_minute=2), Book()
    plain = agent(Limits())
    held = counted("org_1", "inv_1", plain, user)
    for now_us in (0, 40 * SECOND_US):
        assert isinstance(reserve(book, held, now_us=now_us), Reservation)
    late = reserve(book, counted("org_1", "inv_2", plain, user), now_us=50 * SECOND_US)
    assert isinstance(late, Shortfall)
    verdict = used_up(plain, user, late, 50 * SECOND_US)
    assert isinstance(verdict, Throttle)
    assert verdict.retry_after_s == 10
    assert "user `u@x` may make 2 calls per minute" in verdict.reason.message
    assert isinstance(reserve(book, held, now_us=60 * SECOND_US), Reservation)
    assert isinstance(reserve(book, held, now_us=99 * SECOND_US), Shortfall)
    # Whoever has not called for a minute is forgotten.
    book.drop_past(200 * SECOND_US)
    assert Unit.CALLS_PER_MINUTE not in [each.unit for each in tuple(book.keys())]
    assert len(book) == 2


def test_a_limit_of_zero_allows_nothing() -> None:
    nothing = agent(Limits(model_calls=0))
    refused_call(nothing, reserve(Book(), counted("org_1", "inv_1", nothing)))


def test_no_more_sub_agents_are_open_at_one_time_than_may_be() -> None:
    parent, counts = agent(Limits(depth=1, sub_agents=9, sub_agents_alive=1)), TreeCounts()
    assert sub_agent(parent, counts, 1) is None
    assert refused(sub_agent(parent, counts, 1))["limit"] == "sub_agents_alive"
    counts.alive -= 1
    assert sub_agent(parent, counts, 1) is None
    assert counts.sub_agents == 2


def test_a_tree_has_so_many_sub_agents_and_no_more() -> None:
    parent, counts = agent(Limits(depth=1, sub_agents=1)), TreeCounts()
    assert sub_agent(parent, counts, 1) is None
    assert refused(sub_agent(parent, counts, 1))["limit"] == "sub_agents"
    assert counts.sub_agents == 1


def test_a_tree_is_so_deep_and_no_deeper() -> None:
    parent, counts = agent(Limits(depth=2, sub_agents=9)), TreeCounts()
    assert sub_agent(parent, counts, 2) is None
    found = sub_agent(parent, counts, 3)
    assert refused(found)["limit"] == "depth"
    assert counts.sub_agents == 1


def test_by_default_an_agent_has_no_sub_agents() -> None:
    refused(sub_agent(agent(Limits()), TreeCounts(), 1))


def test_an_invocation_ends_at_the_earlier_of_its_own_limit_and_its_parents() -> None:
    minute = agent(Limits(seconds=60))
    assert deadline_us(minute, 5) == 60 * SECOND_US + 5
    assert deadline_us(minute, 5, 30 * SECOND_US) == 30 * SECOND_US
    assert deadline_us(minute, 5, 90 * SECOND_US) == 60 * SECOND_US + 5
    assert deadline_us(agent(Limits()), 5, 90) == 90
    assert deadline_us(agent(Limits()), 5) is None


def test_an_invocation_runs_up_to_its_deadline_and_not_beyond() -> None:
    minute = agent(Limits(seconds=60))
    ends_us = deadline_us(minute, 0)
    assert deadline(minute, 0, ends_us, 60 * SECOND_US - 1) is None
    facts = refused(deadline(minute, 0, ends_us, 60 * SECOND_US))
    assert (facts["limit"], facts["allowed"]) == ("seconds", "60")


def test_an_invocation_without_a_deadline_does_not_end() -> None:
    assert deadline(agent(Limits()), 0, None, 2**62) is None


def test_what_a_tree_has_read_only_grows_and_doubts_can_be_cleared() -> None:
    tree = TreeCounts()
    tree.mark(["untrusted"], {"act_1": "a"}, is_cleared=False)
    tree.mark(["personal"], {"act_2": "b"}, is_cleared=False)
    assert tree.seen == {"untrusted", "personal"}
    assert tree.doubts == {"act_1": "a", "act_2": "b"}
    tree.mark([], {}, is_cleared=True)
    assert tree.seen == {"untrusted", "personal"}
    assert not tree.doubts
