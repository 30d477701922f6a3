"""Several workers and one registry in one process; every message is packed as on a wire."""

import asyncio
from collections.abc import Awaitable
from typing import final

import msgspec
from tests.gateways.world import MemoryLedger, World, organisation

from ringfence.decisions.lease import Broker
from ringfence.domain.error import UnavailableError
from ringfence.domain.lease import Holder, Recall, Report, Take, Taken
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.registry import Declare, End, Ended, Heard, Marked, Opened, Resolve, Resolved
from ringfence.enforcement.directory import Directory
from ringfence.enforcement.invocation import Invocations
from ringfence.enforcement.invocation_view import RegistryWire
from ringfence.enforcement.lending import Lending
from ringfence.enforcement.registry import Registry
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds

_Message = Resolve | Declare | Resolved | End | Heard | Marked | Opened | Ended


def packed(message: _Message) -> _Message:
    """What arrives of a message."""
    arrived: _Message = msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=_Message)
    return arrived


class _Lender:
    """The broker as one worker reaches it."""

    def __init__(self, fleet: "Fleet", holder: Holder) -> None:
        self.fleet = fleet
        self.holder = holder

    async def take(self, take: Take) -> Taken:
        await asyncio.sleep(0)
        return await self.fleet.lending.take(self.holder, take)

    def report(self, report: Report) -> None:
        self.fleet.lending.report(self.holder, report)


@final
class Fleet:
    """Workers by number. `asked` and `told` keep what went to the registry."""

    def __init__(
        self, count: int, config: Organisation | None = None, *, is_lending: bool = False
    ) -> None:
        """`is_lending` lets workers share their limits too; else each counts for itself."""
        self.is_lending = is_lending
        self.clock, self.ids = ManualClock(), SequentialIds()
        self.asked: list[_Message] = []
        self.told: list[_Message] = []
        self.is_answering = True
        self.ledger = MemoryLedger()
        self.directory = Directory()
        self.broker = Broker()
        self.lending = Lending(self.broker, self.clock, self._ask_back)
        self.registry = Registry(
            directory=self.directory,
            invocations=Invocations(
                directory=self.directory,
                book=self.broker,
                ledger=self.ledger,
                clock=self.clock,
                ids=self.ids,
            ),
            clock=self.clock,
            tell=self._tell,
        )
        self.config = config or organisation()
        self.workers = [self._worker(number) for number in range(count)]
        first = self.workers[0]
        self.directory.install(
            Configuration(
                organisations={self.config.name: self.config}, digest="sha256:1", epoch=1
            ),
            {},
        )
        self.directory.put_credentials(list(first.credentials.values()))

    def _worker(self, number: int) -> World:
        def ask(message: Resolve | Declare | End) -> Awaitable[Resolved]:
            return self._answer(number, packed(message))

        def tell(message: Heard | End | Marked) -> None:
            self._hear(number, packed(message))

        return World(
            self.config,
            registry=RegistryWire(ask, tell),
            lender=_Lender(self, Holder(f"w{number}")) if self.is_lending else None,
            clock=self.clock,
            ids=self.ids,
        )

    async def _ask_back(self, holder: Holder, recall: Recall) -> Report:
        await asyncio.sleep(0)
        slabs = self.workers[int(holder[1:])].worker.slabs
        assert slabs is not None
        return await slabs.recalled(recall)

    def replace(self, number: int) -> World:
        """A worker dies, and another begins in its place."""
        self.registry.gone(number)
        self.workers[number] = self._worker(number)
        opened = packed(self.registry.with_tokens())
        assert isinstance(opened, Opened)
        self._learn(number, opened)
        return self.workers[number]

    async def _answer(self, number: int, message: _Message) -> Resolved:
        await asyncio.sleep(0)
        if not self.is_answering:
            raise UnavailableError("supervisor_unavailable", "no answer")
        self.asked.append(message)
        answer = Resolved()
        match message:
            case Resolve():
                answer = self._with_slabs(number, message, self.registry.resolve(number, message))
            case Declare():
                answer = self.registry.declare(number, message)
                for other in range(len(self.workers)):
                    if other != number:
                        self._learn(other, Opened(answer.cards))
            case End():
                self.registry.end(message)
        arrived = packed(answer)
        assert isinstance(arrived, Resolved)
        return arrived

    def _with_slabs(self, number: int, asked: Resolve, answer: Resolved) -> Resolved:
        if asked.need is None or not answer.cards:
            return answer
        wants = self.registry.wants(answer.cards[-1].identity.id, asked.need)
        slabs = self.lending.lend_ahead(Holder(f"w{number}"), wants, 1)
        return msgspec.structs.replace(answer, slabs=slabs)

    def _learn(self, number: int, opened: Opened) -> None:
        view = self.workers[number].worker.view
        assert view is not None
        view.learn(opened.cards)
        self.registry.known_to(number, [card.identity.id for card in opened.cards])

    def _hear(self, number: int, message: _Message) -> None:
        self.told.append(message)
        match message:
            case Heard():
                self.registry.hear(message)
            case Marked():
                self.registry.mark(number, message)
            case End():
                self.registry.end(message)

    def _tell(self, worker: int, message: Ended | Marked) -> None:
        arrived = packed(message)
        view = self.workers[worker].worker.view
        assert view is not None
        if isinstance(arrived, Marked):
            view.marked(arrived)
            return
        assert isinstance(arrived, Ended)
        view.ended(arrived)

    def tidy(self) -> None:
        for world in self.workers:
            world.worker.tidy()
        self.registry.tidy()
