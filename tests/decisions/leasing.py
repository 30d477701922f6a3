"""A broker and its workers with every message between them in a test's hands."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ringfence.decisions.budget import Count, Demand, Reservation, Shortfall
from ringfence.decisions.lease import Broker
from ringfence.decisions.slab import LentBook, wants_of_run
from ringfence.domain.budget import AccountKey
from ringfence.domain.lease import Charged, Holder, Recall, Report, Take, Taken
from ringfence.domain.money import Money


@dataclass(eq=False)
class Asking:
    """One take on its way: to the broker, perhaps to other workers, and back."""

    worker: "LeasedWorker"
    take: Take
    demands: tuple[Demand, ...]
    amount: int
    counts: tuple[Count, ...] = ()
    awaited: set[Holder] = field(default_factory=set)
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
        self.broker = Broker()
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
        if isinstance(found, Shortfall) and not is_final:
            wants = book.wants(demands, amount, self.now, asking.counts)
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
        answer = self.broker.take(letter.sender, body, self.now)
        if isinstance(answer, Taken):
            self.letters.append(Letter(BROKER, letter.sender, answer, asking))
            return
        asking.is_recalling = True
        asking.awaited = set(answer)
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
            answer = self.broker.take_again(asking.worker.holder, asking.take, self.now)
            self.letters.append(Letter(BROKER, asking.worker.holder, answer, asking))

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
