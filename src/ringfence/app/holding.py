"""What one process holds of limits and runs: all of them, or as far as it is lent and told."""

from collections.abc import Callable
from typing import final

from ringfence.app.surroundings import Surroundings
from ringfence.decisions.budget import Book
from ringfence.decisions.slab import LentBook
from ringfence.enforcement.directory import Directory
from ringfence.enforcement.invocation import Invocations
from ringfence.enforcement.invocation_view import InvocationView
from ringfence.enforcement.lack import Lack, Supplier, Supplies
from ringfence.enforcement.lease import Slabs


@final
class Holdings:
    """Its book and its invocations; `slabs` and `view` where others hold the rest, else None.

    `supplier` is who can be asked for what lacks here; None where nothing does.
    """

    def __init__(
        self, around: Surroundings, directory: Directory, epoch: Callable[[], int]
    ) -> None:
        """`epoch` is that of the configuration which is in force."""
        ledger = around.ledger
        self.slabs: Slabs | None = None
        self.view: InvocationView | None = None
        self.book = Book()
        if around.lender is not None:
            self.slabs = Slabs(book=LentBook(), lender=around.lender, ledger=ledger, epoch=epoch)
            self.book = self.slabs.book
        if around.registry is not None:
            self.view = InvocationView(
                directory=directory,
                book=self.book,
                ledger=ledger,
                clock=around.clock,
                ids=around.ids,
                wire=around.registry,
                slabs=self.slabs,
            )
        self.invocations: Invocations = (
            self.view
            if self.view is not None  # it is empty at first, and then false
            else Invocations(
                directory=directory,
                book=self.book,
                ledger=ledger,
                clock=around.clock,
                ids=around.ids,
            )
        )
        self.supplier = self._supplier(around.supplier)

    def _supplier(self, other: Supplier | None) -> Supplier | None:
        suppliers: dict[Lack, Supplier] = {}
        if self.slabs is not None:
            suppliers[Lack.LEASE] = self.slabs
        if self.view is not None:
            suppliers[Lack.INVOCATION] = self.view
        return Supplies(suppliers, other) if suppliers else other
