"""The ledger: one SQLite file for each writer, holding events in the order they were committed.

Read in this order: `schema`, `segment` (how leaves are packed), `format` (how they are read),
`projection` (what is derived), `fence` (one writer alone), `log`, `draft`, `writer`, `recovery`,
`query`, `reader`.
"""

from ringfence.stores.ledger.fence import Fence
from ringfence.stores.ledger.invocation import InvocationRecord, opening_detail
from ringfence.stores.ledger.recovery import Recovered, log_ids, recover
from ringfence.stores.ledger.writer import LedgerWriter

__all__ = [
    "Fence",
    "InvocationRecord",
    "LedgerWriter",
    "Recovered",
    "log_ids",
    "opening_detail",
    "recover",
]
