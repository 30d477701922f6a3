"""The ledger: one log for each writer, holding events in the order they were committed.

Read in this order: `schema`, `segment` (how leaves are packed), `format` (how they are read),
`invocation`, `activity` and `projection` (what follows from events), `derived` (the tables of it),
`fence` (one writer alone), `log`; then `backend` (what a writer needs of a store), `sqlite`,
`draft` (events to leaves), `durable`, `line`, `gathering`, `committer`, `writer`; then
`experience`, `recovery`, `query`, `view` (one log), `reader` (all of them).
"""

from ringfence.stores.ledger.backend import Backend, Batch
from ringfence.stores.ledger.experience import ProviderObject
from ringfence.stores.ledger.fence import Fence, log_ids
from ringfence.stores.ledger.invocation import InvocationRecord, opening_detail
from ringfence.stores.ledger.query import Filter, InvocationFilter, Stored
from ringfence.stores.ledger.reader import LedgerReader
from ringfence.stores.ledger.recovery import Recovered, recover
from ringfence.stores.ledger.rows import HeldLog, Logs
from ringfence.stores.ledger.sqlite_logs import SqliteLogs
from ringfence.stores.ledger.writer import LedgerWriter

__all__ = [
    "Backend",
    "Batch",
    "Fence",
    "Filter",
    "HeldLog",
    "InvocationFilter",
    "InvocationRecord",
    "LedgerReader",
    "LedgerWriter",
    "Logs",
    "ProviderObject",
    "Recovered",
    "SqliteLogs",
    "Stored",
    "log_ids",
    "opening_detail",
    "recover",
]
