"""A broker and its workers with every message between them in a test's hands."""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import TypeVar

import msgspec

from ringfence.decisions.account import Account, Place
from ringfence.decisions.lease import Asked, Broker, asked_by
from ringfence.decisions.period import Line
from ringfence.decisions.reservation import Count, Demand, Reservation, Shortfall
from ringfence.decisions.slab import ASKED_IN_PART, LentBook, is_covered, wants_of_run
from ringfence.domain.budget import AccountKey
from ringfence.domain.lease import (
    AccountState,
    Charged,
    Holder,
    Recall,
    Report,
    Slab,
    Take,
    Taken,
    Want,
)
from ringfence.domain.money import Money


@dataclass(eq=False)
class Asking:
    """One take on its way: to the broker, perhaps to other workers, and back."""

    worker: "LeasedWorker"
    take: Take
    demands: tuple[Demand, ...]
    amount: int
    counts: tuple[Count, ...] = ()
    rounds: int = 0
    """How often it has asked."""
    awaited: set[Holder] = field(default_factory=set)
    asked: set[Asked] = field(default_factory=set)
    is_recalling: bool = False
    answer: Taken | None = None
    outcome: Reservation | Shortfall | None = None


@dataclass(eq=False)
class Letter:
    """A message that has been sent and not yet delivered."""

    sender: Holder
    receiver: Holder
    body: Take | Taken | Recall | Report | str
    asking: Asking | None = None


BROKER = Holder("broker")


class LeasedWorker:
    """One worker in one life."""

    def __init__(self, name: str) -> None:
        self.holder = Holder(name)
        self.book = LentBook()
        self.is_alive = True
        self.epoch = 0
        self.limits: Mapping[AccountKey, int] = {}
        """What the configuration says that this worker knows; else as the call says."""

    def demands(self, asked: tuple[Demand, ...]) -> tuple[Demand, ...]:
        """As `begin` would compile them now."""
        return tuple(
            replace(each, limit=Money(self.limits.get(each.key, each.limit))) for each in asked
        )


class Post:
    """Delivers letters in whatever order it is told to."""

    def __init__(self) -> None:
        self.broker: Broker | Pictures = Broker()
        self.letters: list[Letter] = []
        self.workers: dict[Holder, LeasedWorker] = {}
        self.recalling: list[Asking] = []
        self.now = 0

    def hire(self, name: str) -> LeasedWorker:
        worker = LeasedWorker(name)
        self.workers[worker.holder] = worker
        return worker

    def ask(
        self,
        worker: LeasedWorker,
        demands: tuple[Demand, ...],
        amount: int,
        counts: tuple[Count, ...] = (),
    ) -> Asking:
        """Reserve, or send for what is lacking."""
        asking = Asking(worker, Take(epoch=0, wants=()), demands, amount, counts)
        self._try(asking, is_final=False)
        return asking

    def _try(self, asking: Asking, *, is_final: bool) -> None:
        worker, book, amount = asking.worker, asking.worker.book, Money(asking.amount)
        demands = worker.demands(asking.demands)
        found = book.reserve(demands, amount, self.now, asking.counts)
        wants = book.wants(demands, amount, self.now, asking.counts)
        is_settled = is_final and is_covered(wants, asking.take.wants)
        if isinstance(found, Shortfall) and not is_settled:
            is_whole = is_final or asking.rounds >= ASKED_IN_PART
            ask = book.whole_wants if is_whole else book.wants
            asking.rounds += 1
            wants = ask(demands, amount, self.now, asking.counts)
            asking.take = Take(epoch=worker.epoch, wants=wants, report=book.report())
            self.letters.append(Letter(asking.worker.holder, BROKER, asking.take, asking))
            return
        asking.outcome = found

    def learn(self, worker: LeasedWorker, epoch: int, limits: Mapping[AccountKey, int]) -> None:
        """A worker takes a new configuration."""
        worker.epoch, worker.limits = epoch, dict(limits)
        self.letters.append(Letter(worker.holder, BROKER, worker.book.restate()))

    def lend_ahead(
        self, worker: LeasedWorker, demands: tuple[Demand, ...], amount: int, epoch: int
    ) -> Taken:
        """Send what a worker is expected to ask for."""
        wants = wants_of_run(demands, (), amount)
        ahead = Taken(slabs=self.broker.lend_ahead(worker.holder, wants, epoch, self.now))
        self.letters.append(Letter(BROKER, worker.holder, ahead))
        return ahead

    def tick(self, worker: LeasedWorker) -> None:
        self.letters.append(Letter(worker.holder, BROKER, worker.book.report()))

    def deliver(self, letter: Letter) -> None:
        self.letters.remove(letter)
        if letter.receiver == BROKER:
            self._to_broker(letter)
        else:
            worker = self.workers.get(letter.receiver)
            if worker is not None and worker.is_alive:
                self._to_worker(worker, letter)
            elif letter.asking is not None and isinstance(letter.body, Recall):
                self._answered(letter.asking, letter.receiver)

    def _to_broker(self, letter: Letter) -> None:
        body, asking = letter.body, letter.asking
        if isinstance(body, Report):
            self._recall(self.broker.report(letter.sender, body))
            if asking is not None:
                self._answered(asking, letter.sender)
            return
        assert isinstance(body, Take)
        assert asking is not None
        asking.asked = set()
        self._answer(asking, self.broker.take(letter.sender, body, self.now))

    def _answer(self, asking: Asking, answer: Taken | Mapping[Holder, Recall]) -> None:
        if isinstance(answer, Taken):
            self.letters.append(Letter(BROKER, asking.worker.holder, answer, asking))
            return
        asking.is_recalling = True
        asking.awaited = set(answer)
        asking.asked |= asked_by(answer)
        self.recalling.append(asking)
        self.letters += [Letter(BROKER, to, recall, asking) for to, recall in answer.items()]

    def _answered(self, asking: Asking, holder: Holder) -> None:
        asking.awaited.discard(holder)
        if not asking.awaited:
            self.give_up(asking)

    def give_up(self, asking: Asking) -> None:
        """Wait for no more answers."""
        if asking.is_recalling:
            asking.is_recalling = False
            self.recalling.remove(asking)
            again = self.broker.take_again(
                asking.worker.holder, asking.take, self.now, asking.asked
            )
            self._answer(asking, again)

    def _to_worker(self, worker: LeasedWorker, letter: Letter) -> None:
        body, asking = letter.body, letter.asking
        if isinstance(body, Recall):
            back = worker.book.give_back(body.accounts)
            self.letters.append(Letter(worker.holder, BROKER, back, asking))
        elif isinstance(body, Taken):
            worker.book.receive(body.slabs)
            if asking is None:
                return
            asking.answer = body
            self._try(asking, is_final=body.is_short)
        elif isinstance(body, str):
            worker.book.forget(body)

    def prove(self, worker: LeasedWorker, charged: Iterable[Charged]) -> None:
        """The ledger of a dead worker has been read."""
        self._recall(self.broker.prove(worker.holder, charged, self.now))

    def _recall(self, recalls: Mapping[Holder, Recall]) -> None:
        self.letters += [Letter(BROKER, to, recall) for to, recall in recalls.items()]

    def settle_everything(self) -> None:
        """Deliver in the order of sending until nothing is on its way."""
        for _ in range(10_000):
            if not self.letters:
                return
            self.deliver(self.letters[0])
        raise AssertionError(f"the messages never end: {self.letters}")

    def crash(self, worker: LeasedWorker) -> None:
        """What it sent and nobody has read is lost with it."""
        worker.is_alive = False
        self.letters = [each for each in self.letters if each.sender != worker.holder]
        self.broker.died(worker.holder)
        for asking in list(self.recalling):
            self._answered(asking, worker.holder)


Result = TypeVar("Result")


class Pictures:
    """The broker where several planes share their accounts: a picture of each, and the rows.

    Everything is decided twice, the first time on a state that another plane has changed since:
    what was not written has left no trace.
    """

    def __init__(self, planes: int = 2) -> None:
        self.rows: dict[Place, AccountState] = {}
        self.pictures = [Broker(is_shared=True) for _ in range(planes)]
        self.homes: dict[Holder, Broker] = {}
        self.gone: set[Holder] = set()
        """Whose messages come from an earlier life, as `enforcement.shared_lending` knows."""

    def take(self, holder: Holder, take: Take, now_us: int) -> Taken | Mapping[Holder, Recall]:
        if holder in self.gone:
            return Taken(slabs=(), is_short=True)
        return self._do(holder, _places(take), lambda at: at.take(holder, take, now_us))

    def take_again(
        self, holder: Holder, take: Take, now_us: int, asked: AbstractSet[Asked]
    ) -> Taken | Mapping[Holder, Recall]:
        if holder in self.gone:
            return Taken(slabs=(), is_short=True)
        return self._do(
            holder, _places(take), lambda at: at.take_again(holder, take, now_us, asked)
        )

    def lend_ahead(
        self, holder: Holder, wants: Iterable[Want], epoch: int, now_us: int
    ) -> tuple[Slab, ...]:
        asked = tuple(wants)
        places = [(each.key, each.window_start_us) for each in asked]
        return self._do(holder, places, lambda at: at.lend_ahead(holder, asked, epoch, now_us))

    def report(self, holder: Holder, report: Report) -> Mapping[Holder, Recall]:
        if holder in self.gone:
            return {}
        known = [place for place in _said(report) if place in self.rows]
        return self._do(holder, known, lambda at: at.report(holder, report))

    def died(self, holder: Holder) -> None:
        self.gone.add(holder)
        self._home(holder).died(holder)

    def prove(
        self, holder: Holder, charged: Iterable[Charged], now_us: int
    ) -> Mapping[Holder, Recall]:
        rows = self.rows.items()
        places = [place for place, row in rows if holder in Account.of(row).holders()]
        said = tuple(charged)
        # A plane that recovers another may die before it can say so: then it is done again.
        self._do(holder, places, lambda at: at.prove(holder, said, now_us))
        return self._do(holder, places, lambda at: at.prove(holder, said, now_us))

    def grant(self, key: AccountKey, window_start_us: int, amount: int) -> None:
        for picture in self.pictures:
            picture.grant(key, window_start_us, amount)

    def drop_past(self, now_us: int) -> int:
        past = [place for place, row in self.rows.items() if Account.of(row).is_past(now_us)]
        for place in past:
            del self.rows[place]
        return len(past)

    def standing(self, organisation: str, now_us: int) -> tuple[Line, ...]:
        accounts = map(Account.of, self.rows.values())
        return tuple(
            each.line()
            for each in accounts
            if each.key.organisation == organisation
            and (each.end_us in {None, each.start_us} or (each.end_us or 0) > now_us)
        )

    def forget(self, invocation: str) -> None:
        for place in [each for each in self.rows if each[0].holder == invocation]:
            del self.rows[place]

    def __len__(self) -> int:
        return len(self.rows)

    def lent(self, holder: Holder) -> Mapping[Place, int]:
        return {place: row.lent[holder] for place, row in self.rows.items() if holder in row.lent}

    def _home(self, holder: Holder) -> Broker:
        if holder not in self.homes:
            self.homes[holder] = self.pictures[len(self.homes) % len(self.pictures)]
        return self.homes[holder]

    def _do(
        self, holder: Holder, places: Iterable[Place], decide: Callable[[Broker], Result]
    ) -> Result:
        picture = self._home(holder)
        touched = list(places)
        result = None
        for _ in range(2):
            picture.drop(touched)
            for place in touched:
                picture.put(self.rows.get(place) or Account(*place).state())
            result = decide(picture)
        for place in touched:
            text = msgspec.json.encode(picture.state(place))
            self.rows[place] = msgspec.json.decode(text, type=AccountState)
        picture.drop(touched)
        assert result is not None
        return result


def _places(take: Take) -> list[Place]:
    wanted = [(each.key, each.window_start_us) for each in take.wants]
    return list(dict.fromkeys([*wanted, *_said(take.report)]))


def _said(report: Report) -> list[Place]:
    spent = [(each.key, each.window_start_us) for each in report.spent]
    return list(
        dict.fromkeys([*spent, *((each.key, each.window_start_us) for each in report.returned)])
    )
