"""Kills a process of the plane at a named point, or sets its clock; loaded by tests alone.

`hooked` makes a folder whose `sitecustomize` every Python process that inherits `PYTHONPATH` loads,
also workers that are started by exec. The parts of the product are wrapped there; the product knows
nothing of it. A point is armed by writing its name into a file; the process that comes to it first
takes the file away and is killed by its own hand, so that nobody dies twice.
"""

import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FILE = "RINGFENCE_TEST_CRASH"
_CLOCK = "RINGFENCE_TEST_CLOCK"
_ROOT = Path(__file__).parents[2]
_IS_WORKER = "worker" in sys.orig_argv

RESERVED = "reserved"
INTENT_DRAFTED = "intent written, not durable"
INTENT_DURABLE = "durable, not dispatched"
DISPATCHED = "dispatched, no answer"
ANSWERED = "answered, nothing settled"
SETTLED = "settled, outcome not written"
OUTCOME_DRAFTED = "outcome written, not durable"
OUTCOME_DURABLE = "outcome durable, nobody told"
HASHED = "hashed, no checkpoint"
HALF_SIGNED = "half of a checkpoint"
RECOVERING = "recovering, nothing written"
RECOVERED = "recovering, outcomes durable and nothing derived"
DERIVING = "recovering, half derived"

POINTS = (
    RESERVED,
    INTENT_DRAFTED,
    INTENT_DURABLE,
    DISPATCHED,
    ANSWERED,
    SETTLED,
    OUTCOME_DRAFTED,
    OUTCOME_DURABLE,
    HASHED,
    HALF_SIGNED,
)
APPROVAL_USED = "approval used up, intent not written"
APPROVED_DURABLE = "approved call durable, not dispatched"
IN_RECOVERY = (DERIVING, RECOVERING, RECOVERED)

DISPATCHED_S = 0.1
"""How long after a request was handed to the socket the process dies."""


@contextmanager
def hooked(folder: Path) -> Iterator["Hooks"]:
    """Let every process that is started meanwhile be killed where `Crash.arm` says."""
    (folder / "sitecustomize.py").write_text(
        "from tests.invariants.crashing import install\ninstall()\n"
    )
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", _FILE, _CLOCK)}
    paths = [str(folder), str(_ROOT), *filter(None, [before["PYTHONPATH"]])]
    os.environ |= {
        "PYTHONPATH": os.pathsep.join(paths),
        _FILE: str(folder / "armed"),
        _CLOCK: str(folder / "clock"),
    }
    try:
        yield Hooks(folder)
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


class Hooks:
    """What happens to the next process that looks."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "armed"
        self._clock = folder / "clock"

    def set_clock(self, seconds: int) -> None:
        """From now on the wall clock of these processes is so far ahead, or back below 0."""
        self._clock.write_text(str(seconds))

    def arm(self, point: str, *, in_worker: bool = False, in_supervisor: bool = False) -> None:
        """Let the next process that comes to this point die; only a worker, or none, if asked."""
        role = "worker" if in_worker else "supervisor" if in_supervisor else "any"
        self._path.write_text(f"{role} {point}")

    @property
    def has_happened(self) -> bool:
        return not self._path.exists()


def at(point: str) -> None:
    """Die here, if this is the point."""
    path = Path(os.environ[_FILE])
    try:
        role, _, armed = path.read_text().partition(" ")
        is_other = role not in {"any", "worker" if _IS_WORKER else "supervisor"}
        if armed != point or is_other:
            return
        path.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def install() -> None:
    """Wrap the parts of this process."""
    if "ringfence" not in sys.orig_argv:
        return
    _install_clock()
    from ringfence.enforcement.dispatch import Dispatcher  # noqa: PLC0415 (only in that process)
    from ringfence.enforcement.model_call import ModelPath  # noqa: PLC0415 (the same)
    from ringfence.enforcement.settlement import Settlements  # noqa: PLC0415 (the same)
    from ringfence.enforcement.tool_call import ToolPath  # noqa: PLC0415 (the same)
    from ringfence.stores.ledger.writer import LedgerWriter  # noqa: PLC0415 (the same)

    _before(ToolPath, "_ticket", _approved)
    _before(ToolPath, "written", lambda _self, ticket: _durable(ticket))
    _before(ModelPath, "_ticket", lambda *_: at(RESERVED))
    _before(ModelPath, "written", lambda *_: at(INTENT_DURABLE))
    _after(Dispatcher, "send", _soon)
    _before(Settlements, "settle", lambda *_: at(ANSWERED))
    _before(LedgerWriter, "record", _recording)
    _install_stores()


def _install_clock() -> None:
    """Before anything reads it: a clock is taken once."""
    now_ns, path = time.time_ns, Path(os.environ[_CLOCK])

    def shifted() -> int:
        return now_ns() + (int(path.read_text()) * 10**9 if path.exists() else 0)

    time.time_ns = shifted


def _install_stores() -> None:
    from ringfence.stores.checkpoint.leaf_file import LeafFile  # noqa: PLC0415 (see above)
    from ringfence.stores.checkpoint.note_file import NoteFile  # noqa: PLC0415 (the same)
    from ringfence.stores.ledger import derived, recovery, sqlite  # noqa: PLC0415 (the same)
    from ringfence.stores.postgresql.ledger import PostgresLog  # noqa: PLC0415 (the same)

    _before(sqlite.SqliteLog, "commit", _committing)
    _after(sqlite.SqliteLog, "commit", _committed)
    _before(derived, "_write_activity", lambda *_: at(DERIVING))
    _before(PostgresLog, "commit", _committing)
    _after(PostgresLog, "commit", _committed)
    _before(PostgresLog, "_write_activity", lambda *_: at(DERIVING))
    _after(LeafFile, "append", lambda *_: at(HASHED))
    _before(NoteFile, "append", _half)
    _before(recovery, "_append", lambda *_: at(RECOVERING))


def _recording(_self: object, event: object, *_: object) -> None:
    if type(event).__name__ == "Outcome":
        at(SETTLED)


def _approved(_self: object, knock: Any, *_: object) -> None:  # noqa: ANN401 (a ToolKnock)
    if knock.consumed:
        at(APPROVAL_USED)


def _durable(ticket: Any) -> None:  # noqa: ANN401 (a ToolTicket)
    if ticket.intent.approval:
        at(APPROVED_DURABLE)


def _committing(_self: object, batch: Any) -> None:  # noqa: ANN401 (a Batch)
    if b'"kind":"intent"' in batch.data:
        at(INTENT_DRAFTED)
    if b'"kind":"outcome"' in batch.data:
        at(OUTCOME_DRAFTED)


def _committed(_self: object, batch: Any) -> None:  # noqa: ANN401 (a Batch)
    if b'"error":"process_ended"' in batch.data:
        at(RECOVERED)
    elif b'"kind":"outcome"' in batch.data:
        at(OUTCOME_DURABLE)


def _soon(*_: object) -> None:
    import asyncio  # noqa: PLC0415 (not before a process needs it)

    asyncio.get_running_loop().call_later(DISPATCHED_S, at, DISPATCHED)


def _half(file: Any, one: bytes) -> None:  # noqa: ANN401 (a NoteFile)
    path = Path(os.environ[_FILE])
    if path.exists() and path.read_text().endswith(HALF_SIGNED):
        os.write(file._descriptor, one[: len(one) // 2])  # noqa: SLF001 (as a power cut leaves it)
    at(HALF_SIGNED)


def _before(owner: Any, name: str, look: Callable[..., None]) -> None:  # noqa: ANN401 (any part)
    wrapped = getattr(owner, name)

    @functools.wraps(wrapped)
    def hooked(*given: object, **named: object) -> object:
        look(*given)
        return wrapped(*given, **named)

    setattr(owner, name, hooked)


def _after(owner: Any, name: str, look: Callable[..., None]) -> None:  # noqa: ANN401 (any part)
    wrapped = getattr(owner, name)

    @functools.wraps(wrapped)
    def hooked(*given: object, **named: object) -> object:
        done = wrapped(*given, **named)
        look(*given)
        return done

    setattr(owner, name, hooked)
