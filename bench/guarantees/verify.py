"""How long verifying a record takes, how much memory it needs, and what signing costs.

Run `python -m bench.guarantees.verify [events] [folder]`; a million events by default.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from bench.ledger import ORGANISATION, identifier, pair

from ringfence.domain.event import AnyEvent, Change
from ringfence.protocols import canonical
from ringfence.stores.checkpoint import Attestation, SigningKeys
from ringfence.stores.checkpoint.attestation import Leaves
from ringfence.stores.ledger import SqliteLogs
from ringfence.stores.ledger.backend import Batch
from ringfence.stores.ledger.fence import Fence
from ringfence.stores.ledger.leaves import leaf_reader
from ringfence.stores.ledger.log import open_log
from ringfence.stores.ledger.segment import SegmentWriter
from ringfence.stores.ledger.sqlite import SqliteLog
from ringfence.stores.verification import Outside, verify_folder

EVENTS = 1_000_000
GROUP = 20
STEPS = 10
"""Of each run, which ends then."""
TIME_US = 1_795_000_000_000_000


def write(folder: Path, count: int) -> tuple[float, float]:
    """A log of realistic calls in groups; seconds for hashing and for signing alone."""
    fence = Fence.take(folder, "log_1")
    hashing = signing = 0.0
    with closing(open_log(fence)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        reader = leaf_reader(partial(SqliteLogs, folder), "log_1")
        attestation = Attestation.open(SigningKeys(folder), "log_1", reader, TIME_US)
        segments = SegmentWriter(connection)
        group: list[AnyEvent] = []
        invocation = ""
        for number in range(count // 2):
            if number % STEPS == 0:
                invocation = identifier("inv", number)
            events: list[AnyEvent] = [*pair(number, invocation, number % STEPS + 1)]
            if number % STEPS == STEPS - 1:
                events.append(end(invocation, TIME_US + number))
            for event in events:
                event.log, event.sequence = "log_1", segments.next_sequence + len(group)
                group.append(event)
            if len(group) >= GROUP:
                leaves = [canonical.encode(event) for event in group]
                times = [int(event.time_us) for event in group]
                first = segments.next_sequence
                data = b"\n".join(leaves)
                segments.append(Batch(first, len(leaves), data, min(times), max(times)))
                began = time.perf_counter()
                attestation.add(Leaves(first, leaves))
                hashed = time.perf_counter()
                attestation.sign()
                hashing += hashed - began
                signing += time.perf_counter() - hashed
                group.clear()
        attestation.sync()
        attestation.close()
    fence.release()
    derive(folder)
    return hashing, signing


def end(invocation: str, time_us: int) -> Change:
    """The last event of a run."""
    return Change(
        format=1,
        organisation=ORGANISATION,
        time_us=str(time_us),
        epoch=3,
        configuration="sha256:" + "ab" * 32,
        actor="plane",
        what="invocation.finished",
        subject=invocation,
        invocation=invocation,
        root=invocation,
    )


def derive(folder: Path) -> None:
    """Make the derived tables, which verifying recomputes."""
    log = SqliteLog.open(Fence.take(folder, "log_1"))
    log.close()


def verify(folder: Path) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    report = verify_folder(folder, Outside(), is_running=False)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())  # kB of this program
    print(
        f"verified {report.events:,} events, {report.checkpoints:,} checkpoints: "
        f"{wall:.1f} s, {cpu:.1f} s of CPU, {report.events / wall:,.0f} events/s, "
        f"peak {int(peak[1]) / 1024 if peak else 0:.0f} MB, holds: {report.holds}"
    )


def main() -> None:
    if sys.argv[1:2] == ["--verify"]:
        verify(Path(sys.argv[2]))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as name:
        folder = Path(name) / "data"
        hashing, signing = write(folder, count)
        groups = count / GROUP
        print(
            f"hashing {hashing / count * 1e6:.2f} µs an event, "
            f"signing {signing / groups * 1e6:.0f} µs a checkpoint (files included)"
        )
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        kept = sum(path.stat().st_size for path in (folder / "checkpoints").iterdir())
        print(f"{size / count:.0f} bytes an event on disk, {kept / count:.0f} of them checkpoints")
        began = time.perf_counter()
        attestation = Attestation.open(
            SigningKeys(folder), "log_1", leaf_reader(partial(SqliteLogs, folder), "log_1"), TIME_US
        )
        print(f"taken up again in {(time.perf_counter() - began) * 1e3:.1f} ms")
        attestation.close()
        # In a process of its own, so that the peak is that of verifying alone.
        subprocess.run(
            [sys.executable, "-m", "bench.guarantees.verify", "--verify", str(folder)],
            check=True,
            env=dict(os.environ),
        )


if __name__ == "__main__":
    main()
