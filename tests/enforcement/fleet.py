"""Several workers and one registry in one process; every message is packed as on a wire."""

import asyncio
from collections.abc import Awaitable
from typing import final

import msgspec
from tests.gateways.world import MemoryLedger, World, organisation

from ringfence.decisions.budget import Book
from ringfence.domain.error import UnavailableError
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.registry import Declare, End, Ended, Heard, Opened, Resolve, Resolved
from ringfence.enforcement.directory import Directory
from ringfence.enforcement.invocation import Invocations
from ringfence.enforcement.invocation_view import RegistryWire
from ringfence.enforcement.registry import Registry
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds

_Message = Resolve | Declare | Resolved | End | Heard | Opened | Ended


def packed(message: _Message) -> _Message:
    """What arrives of a message."""
    arrived: _Message = msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=_Message)
    return arrived


@final
class Fleet:
    """Workers by number. `asked` and `told` keep what went to the registry."""

    def __init__(self, count: int, config: Organisation | None = None) -> None:
        self.clock, self.ids = ManualClock(), SequentialIds()
        self.asked: list[_Message] = []
        self.told: list[_Message] = []
        self.is_answering = True
        self.ledger = MemoryLedger()
        self.directory = Directory()
        self.registry = Registry(
            directory=self.directory,
            invocations=Invocations(
                directory=self.directory,
                book=Book(),
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

        def tell(message: Heard | End) -> None:
            self._hear(packed(message))

        return World(self.config, registry=RegistryWire(ask, tell), clock=self.clock, ids=self.ids)

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
                answer = self.registry.resolve(number, message)
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

    def _learn(self, number: int, opened: Opened) -> None:
        view = self.workers[number].worker.view
        assert view is not None
        view.learn(opened.cards)
        self.registry.known_to(number, [card.identity.id for card in opened.cards])

    def _hear(self, message: _Message) -> None:
        self.told.append(message)
        match message:
            case Heard():
                self.registry.hear(message)
            case End():
                self.registry.end(message)

    def _tell(self, worker: int, message: Ended) -> None:
        arrived = packed(message)
        view = self.workers[worker].worker.view
        assert isinstance(arrived, Ended)
        assert view is not None
        view.ended(arrived)

    def tidy(self) -> None:
        for world in self.workers:
            world.worker.tidy()
        self.registry.tidy()
