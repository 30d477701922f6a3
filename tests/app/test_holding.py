"""What lies here and what must be asked for; that both work is told in `tests/enforcement`."""

import asyncio
from typing import Any

import pytest
from tests.gateways.world import MemoryLedger, MemoryUsers, Providers, failing

from ringfence.app.holding import Holdings
from ringfence.app.surroundings import Surroundings
from ringfence.decisions.slab import LentBook
from ringfence.domain.error import UnavailableError
from ringfence.domain.lease import Report, Take, Taken
from ringfence.enforcement.directory import Directory
from ringfence.enforcement.invocation_view import RegistryWire
from ringfence.stores.secret import EnvironmentSecrets
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds


class Broker:
    async def take(self, take: Take) -> Taken:
        raise AssertionError(take)

    def report(self, report: Report) -> None:
        raise AssertionError(report)


async def _ask(message: Any) -> Any:  # noqa: ANN401 (as the wire has it)
    raise AssertionError(message)


WIRE = RegistryWire(_ask, lambda _: None)


def holdings(**more: Any) -> Holdings:  # noqa: ANN401 (of the surroundings)
    async def made() -> Holdings:
        ledger = MemoryLedger()
        around = Surroundings(
            ledger=ledger,
            client=Providers(ledger, failing(UnavailableError("unreachable", "nobody is there"))),
            secrets=EnvironmentSecrets(frozenset(), {}),
            clock=ManualClock(),
            ids=SequentialIds(),
            readiness=lambda: "",
            users=MemoryUsers(),
            **more,
        )
        return Holdings(around, Directory(), lambda: 1)

    return asyncio.run(made())


def test_one_that_is_alone_holds_everything_and_asks_nobody() -> None:
    alone = holdings()
    assert (alone.slabs, alone.view, alone.supplier) == (None, None, None)
    assert not alone.book.is_lent


def test_one_that_borrows_reserves_from_what_it_was_lent() -> None:
    lent = holdings(lender=Broker())
    assert lent.slabs is not None
    assert isinstance(lent.book, LentBook)
    assert lent.book is lent.slabs.book
    assert lent.supplier is not None


def test_one_that_is_told_of_runs_knows_them_by_its_view_also_while_that_is_empty() -> None:
    told = holdings(registry=WIRE)
    assert told.view is not None
    assert len(told.view) == 0
    assert told.invocations is told.view
    assert told.supplier is not None


@pytest.mark.parametrize("more", [{}, {"registry": WIRE}, {"lender": Broker()}])
def test_whoever_else_can_be_asked_is_asked_for_what_is_left(more: dict[str, Any]) -> None:
    other: Any = object()
    held = holdings(supplier=other, **more)
    assert (held.supplier is other) is (not more)
