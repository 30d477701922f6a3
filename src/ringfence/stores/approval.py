"""Forget held calls that have ended, with their arguments, once their organisation's term is over.

They are kept as long as the stored messages of the same time, and what is on legal hold stays.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import final

from ringfence.domain.approval import Approval
from ringfence.stores.hold import Hold, is_held, widened
from ringfence.stores.ledger.reader import LedgerReader
from ringfence.stores.retention import Place, Term
from ringfence.stores.state.approval import ApprovalRecords


@final
class EndedApprovals:
    """Goes through the held calls of all organisations again and again; for one thread."""

    def __init__(self, records: ApprovalRecords, place: Place) -> None:
        """Take the held calls, and where holds and the trees of invocations are."""
        self._records = records
        self._place = place

    def run(self, terms: Mapping[str, Term], now_us: int) -> Iterator[tuple[str, int]]:
        """One organisation after another, with how many of its held calls were forgotten.

        Raises UnavailableError; what is left then goes with the next run.
        """
        for organisation, term in terms.items():
            kept_us = term.shortest_us
            if kept_us is not None:
                yield organisation, self._forget(organisation, now_us - kept_us)

    def _forget(self, organisation: str, before_us: int) -> int:
        holds = self._place.holds(organisation)
        found, after = 0, ""
        with closing(LedgerReader(self._place.logs())) as reader:
            while some := self._records.ended(organisation, before_us, after=after):
                after = some[-1].id
                with holds.still():
                    held = widened(holds.all(), partial(reader.tree_of, organisation))
                    free = [each.id for each in some if not is_held_call(held, each)]
                    found += self._records.forget(organisation, free)
        return found


def is_held_call(holds: list[Hold], approval: Approval) -> bool:
    """Whether a legal hold, of those that stand (widened), is about a call that was held."""
    binding = approval.binding
    return is_held(holds, agent=binding.agent, invocation=binding.invocation, root=binding.root)
