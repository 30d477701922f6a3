"""Prints microseconds per decision on the path of a model call: `python bench/decisions.py`."""

import timeit
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from zoneinfo import ZoneInfo

from ringfence.decisions import input_bound, model_call, output_limit, reason, scope
from ringfence.decisions.budget import Book
from ringfence.decisions.charge import compile_plan, demands_for
from ringfence.decisions.clue import Clues
from ringfence.decisions.grouping import Groups, Open
from ringfence.decisions.price import affordable_output_tokens, cost, worst_case
from ringfence.decisions.rate import Rate
from ringfence.decisions.reservation import Demand, Reservation, Shortfall
from ringfence.decisions.window import window_of
from ringfence.domain.agent import Agent, Category, Scope
from ringfence.domain.budget import AccountKey, Budget, BudgetScope, Per
from ringfence.domain.exchange import ModelRequest
from ringfence.domain.model import Dialect, Model
from ringfence.domain.money import Money
from ringfence.domain.organisation import Organisation, Team
from ringfence.domain.price import Band, RateCard, Rates
from ringfence.domain.usage import Usage

NOW = 1_795_000_000_000_000
USD = 1_000_000_000
RATES = Rates(input=3 * USD, output=15 * USD, cache_read=USD // 3, cache_write=4 * USD)
CARD = RateCard(rates=RATES, bands=(Band(above_input_tokens=200_000, rates=RATES),))
USAGE = Usage(input_tokens=1_000, output_tokens=200, cache_read_tokens=400)
MODEL = Model(name="m", provider="p", upstream="u", price=CARD)
DAILY = Budget(limit=Money(10**15), per=Per.DAY)
AGENT = Agent(
    id="agt_1",
    name="triage",
    owner="o@x",
    team="support",
    category=Category.BOUNDED,
    purpose="",
    scope=Scope(models=frozenset({"m"})),
    budgets=(DAILY, replace(DAILY, per=Per.INVOCATION)),
)
ORGANISATION = Organisation(
    id="org_1",
    name="acme",
    budgets=(replace(DAILY, per=Per.MONTH),),
    teams={"support": Team(id="team_1", name="support", budgets=(DAILY,))},
    models={"m": MODEL},
)


def figure(name: str, work: Callable[[], object]) -> None:
    timer = timeit.Timer(work)
    count = max(1, int(0.02 / max(timer.timeit(3) / 3, 1e-7)))
    best = min(timer.repeat(repeat=7, number=count)) / count
    print(f"{name:<58} {best * 1e6:9.2f} µs")


def books() -> None:
    plan = compile_plan(ORGANISATION, AGENT, UTC)
    demands = demands_for(plan, "inv_1")
    assert len(demands) == 4
    book = Book()
    short = book.reserve(demands, Money(10**16), NOW)
    assert isinstance(short, Shortfall)

    def call() -> None:
        reservation = book.reserve(demands, Money(50_000_000), NOW)
        assert isinstance(reservation, Reservation)
        book.settle(reservation, Money(1_000))
        book.free(reservation)

    figure("reserve, settle and free, 4 accounts", call)
    figure("what is left, 4 accounts", lambda: book.left(demands, NOW))
    figure("a refused reservation, 4 accounts", lambda: book.reserve(demands, Money(10**16), NOW))
    figure("the words of a budget stop", lambda: reason.budget(AGENT, short, "", UTC))
    figure("demands of a new invocation", lambda: demands_for(plan, "inv_2"))
    berlin = ZoneInfo("Europe/Berlin")
    figure("window, known", lambda: window_of(Per.DAY, NOW, berlin))
    ends = [window_of(Per.DAY, NOW, berlin).start_us, NOW + 10**12]
    figure("window, another day each time", lambda: [window_of(Per.DAY, t, berlin) for t in ends])


def prices() -> None:
    seen = input_bound.Evidence(calls=500, bytes=5_000_000, highest_ppm=260_000)
    figure("cost", lambda: cost(CARD, USAGE))
    figure("worst case", lambda: worst_case(CARD, 5_000, 4_000))
    figure(
        "affordable output",
        lambda: affordable_output_tokens(CARD, Money(50_000_000), 5_000),
    )
    figure("input bound", lambda: input_bound.bound(MODEL, seen, 4_096))
    figure("learn", lambda: input_bound.learn(seen, 4_096, 1_000))
    figure("output limit", lambda: output_limit.output_limit(Dialect.CHAT, None, AGENT))


def admission() -> None:
    request = ModelRequest(dialect=Dialect.CHAT, body=b"", model="m")
    figure("model in scope", lambda: scope.model_in_scope(AGENT, ORGANISATION, "m"))
    figure("model call check", lambda: model_call.check(AGENT, MODEL, request))
    rate, clock = Rate(), iter(range(0, 10**18, 10_000_000))
    figure("rate", lambda: rate.take(600, next(clock)))


def messages(count: int, size: int) -> tuple[bytes, ...]:
    """New objects each time, because a bytes object keeps its hash."""
    text = b"x" * size
    return tuple(b"%d" % number + text for number in range(count))


def opened(clues: Clues) -> Groups:
    groups = Groups()
    found = groups.find("org_1", AGENT, clues, 0)
    assert isinstance(found, Open)
    groups.open("org_1", AGENT, clues, found, invocation="inv_1", now_us=0)
    return groups


def by_conversation(name: str, count: int, size: int) -> None:
    groups = opened(Clues(credential="crd_1", messages=messages(count, size)))
    figure(f"making {name}", lambda: messages(count, size))
    figure(
        f"making them and grouping by conversation, {name}",
        lambda: groups.find(
            "org_1", AGENT, Clues(credential="crd_1", messages=messages(count, size)), 0
        ),
    )


def grouping() -> None:
    by_conversation("4 KB", 2, 2_048)
    by_conversation("100 KB", 60, 1_700)
    header = Clues(credential="crd_1", header="run-1")
    groups = opened(header)
    figure("grouping by header", lambda: groups.find("org_1", AGENT, header, 0))


def many_accounts() -> None:
    book = Book()
    for number in range(100_000):
        key = AccountKey("org_1", BudgetScope.INVOCATION, f"inv_{number}", Per.INVOCATION)
        reservation = book.reserve([Demand(key, Money(1), UTC)], Money(1), NOW)
        assert isinstance(reservation, Reservation)
        book.settle(reservation, Money(1))
        book.forget(key.holder)
    print(f"{'accounts after 100,000 closed invocations':<58} {len(book):9d}")


if __name__ == "__main__":
    books()
    prices()
    admission()
    grouping()
    many_accounts()
