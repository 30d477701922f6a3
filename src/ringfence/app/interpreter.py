"""How the interpreter is set for a process that serves agents."""

import asyncio
import gc
import sys
import time
from pathlib import Path
from typing import Final

_SWITCH_S: Final = 0.001
"""The ledger's threads share the interpreter with the loop; 5 ms, the default, would be felt."""

_GC_THRESHOLDS: Final = (20_000, 20, 20)
"""What a call leaves behind is freed by its reference counts; cycles are made by failures only."""

_PAGE_BYTES: Final = 4096


def runner() -> "asyncio.Runner":
    """The fastest event loop there is on this platform."""
    if sys.platform == "win32":
        return asyncio.Runner()
    import uvloop  # noqa: PLC0415 (not there on Windows)

    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def prefer_loop() -> None:
    """Give the loop its turn back soon; call at the start."""
    sys.setswitchinterval(_SWITCH_S)


def freeze() -> None:
    """What lives now lives to the end: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def cpu_us() -> int:
    """How much processor time this process has used so far."""
    return time.process_time_ns() // 1000


def memory_bytes() -> int:
    """What this process holds in memory now; 0 where that cannot be told."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * _PAGE_BYTES
