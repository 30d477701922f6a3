"""A whole record of many events, made as a plane makes it, and copies of it to tamper with."""

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from tests.stores.ledger.event import START_US, change, intent, outcome, refusal

from ringfence.domain.event import AnyEvent
from ringfence.protocols import canonical
from ringfence.stores.checkpoint import Attestation, SigningKeys
from ringfence.stores.checkpoint.attestation import Leaves
from ringfence.stores.compression import Compressor, decompress
from ringfence.stores.ledger import derived
from ringfence.stores.ledger.backend import Batch
from ringfence.stores.ledger.fence import Fence, log_path
from ringfence.stores.ledger.leaves import leaf_reader
from ringfence.stores.ledger.log import open_log
from ringfence.stores.ledger.segment import SegmentWriter
from ringfence.stores.ledger.sqlite_logs import SqliteLogs

LOG = "log_1"


def events(count: int, seed: int = 1) -> Iterator[AnyEvent]:
    """Calls with their outcomes some events later, and refusals and changes between them."""
    dice = random.Random(seed)  # noqa: S311 (a test's dice)
    open_: list[AnyEvent] = []
    made = 0
    while made + len(open_) < count:
        time_us = START_US + made
        kind = dice.random()
        if open_ and kind < 0.45:
            yield open_.pop(dice.randrange(len(open_)))
        elif kind < 0.5:
            yield refusal(f"act_r{seed}_{made}", time_us=time_us)
        elif kind < 0.52:
            yield change("agent.suspended", f"agt_{made}", time_us=time_us)
        else:
            one = intent(f"act_{seed}_{made}", invocation=f"inv_{made % 50}", time_us=time_us)
            open_.append(outcome(one, time_us=time_us + 50))
            yield one
        made += 1
    yield from open_


def record(folder: Path, count: int, *, log_id: str = LOG, seed: int = 1, most: int = 100) -> None:
    """Write a log in groups of 1 to `most` events, each covered by a checkpoint."""
    dice = random.Random(seed)  # noqa: S311 (a test's dice)
    fence = Fence.take(folder, log_id)
    keys = SigningKeys(folder)
    with closing(open_log(fence)) as connection:
        attestation = Attestation.open(
            keys, log_id, leaf_reader(partial(SqliteLogs, folder), log_id), START_US
        )
        segments = SegmentWriter(connection)
        connection.execute("PRAGMA synchronous = OFF")
        group: list[AnyEvent] = []
        left = dice.randint(1, most)
        for event in events(count, seed):
            event.log, event.sequence = log_id, segments.next_sequence + len(group)
            group.append(event)
            if len(group) >= left:
                _commit(segments, attestation, group)
                left = dice.randint(1, most)
        if group:
            _commit(segments, attestation, group)
        derived.rebuild(connection)
        attestation.sync()
        attestation.close()
    fence.release()


def _commit(segments: SegmentWriter, attestation: Attestation, group: list[AnyEvent]) -> None:
    leaves = [canonical.encode(event) for event in group]
    times = [int(event.time_us) for event in group]
    first = segments.next_sequence
    segments.append(Batch(first, len(leaves), b"\n".join(leaves), min(times), max(times)))
    assert attestation.add(Leaves(first, leaves))
    attestation.sign()
    group.clear()


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


@contextmanager
def opened(folder: Path, log_id: str = LOG) -> Iterator[sqlite3.Connection]:
    """The database of a log, to be tampered with."""
    with closing(sqlite3.connect(log_path(folder, log_id), isolation_level=None)) as connection:
        yield connection


Leaf = list[bytes]


def rewrite(
    connection: sqlite3.Connection, sequence: int, change_: Callable[[Leaf, int], object]
) -> None:
    """Change the leaves of the group that holds a sequence; the function is given the index."""
    first, packed = connection.execute(
        "SELECT first, leaves FROM segments WHERE first <= ? ORDER BY first DESC LIMIT 1",
        (sequence,),
    ).fetchone()
    leaves = decompress(packed).split(b"\n")
    change_(leaves, sequence - first)
    connection.execute(
        "UPDATE segments SET leaves = ? WHERE first = ?",
        (Compressor(1).compress(b"\n".join(leaves)), first),
    )
