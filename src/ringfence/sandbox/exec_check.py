"""What a process has become, compared with what it asked for: another thread may have exchanged it.

Looked at some milliseconds after the exec. What has ended by then is not looked at any more, and a
process may have changed its own title: this is a look for what does not fit, and no proof. Reading
what a process was given may wait for that process, so it is not done where others wait.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final

import msgspec

from ringfence.domain.monitoring import ExecDiffers
from ringfence.domain.sandbox import SYSTEM
from ringfence.sandbox.first_line import FirstLine

_PAUSES_S: Final = (0.003, 0.006, 0.012, 0.025, 0.05, 0.25)
"""When to look; the kernel may take a while to load a program, and an exec may have failed.

The last again and again, for as long as the process is what it was: its agent has ways to have its
exec wait, by its priority among others, until nobody looks any more.
"""
_WAITING_MOST: Final = 20_000
"""How many are looked at at once; a burst of more ends before anybody could look."""
_READ_BYTES: Final = 256 * 1024
_GONE: Final = " (deleted)"


class Promised(msgspec.Struct, frozen=True, kw_only=True):
    """What a process said that it would run; `line` if that is a script, but for the system's."""

    pid: int
    path: str
    program: str
    argv: tuple[str, ...]
    exe: str
    line: FirstLine | None = None
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What a process runs; no words while the kernel still loads it."""

    exe: str
    argv: tuple[str, ...]


Looked = tuple[Promised, Found | None]
"""What was promised, and what there is."""
Aside = Callable[[Callable[[], list[Looked]], Callable[[list[Looked]], None]], object]
"""Does the first where nobody waits, and hands the result to the second where we were."""


class ProcessView(Protocol):
    """What can be seen of a process."""

    def is_there(self, pid: int, /) -> bool:
        """Whether it still runs something; never waits for it."""

    def look(self, pid: int, /) -> Found | None:
        """What it runs; None if it has ended."""

    def first_line(self, pid: int, path: str, /) -> FirstLine | None:
        """What a program that it sees names in its first line; None if that is no script."""


class Timer(Protocol):
    """Calls back later; an event loop does."""

    def call_later(self, delay: float, callback: Callable[[], None], /) -> object:
        """Once, after so many seconds."""


@final
class ExecChecks:
    """Looks at what was allowed, and tells of what does not fit."""

    def __init__(
        self,
        timer: Timer,
        tell: Callable[[ExecDiffers], None],
        now_us: Callable[[], int],
        view: ProcessView,
        aside: Aside,
    ) -> None:
        """Nothing was allowed yet."""
        self._timer = timer
        self._tell = tell
        self._view = view
        self._now_us = now_us
        self._aside = aside
        self._due: list[list[Promised]] = [[] for _ in _PAUSES_S]
        self._last: dict[int, Promised] = {}
        self._again: dict[int, list[Callable[[], None]]] = {}
        """What goes on when a process was looked at that wants to become something else."""
        self.left_out = 0
        """How many were not looked at, because there were too many."""

    def allowed(self, promised: Promised) -> None:
        """Look at it soon."""
        self._last[promised.pid] = promised
        self._wait(promised, 0)

    def asked_again(self, pid: int, then: Callable[[], None]) -> None:
        """It wants to become something else already: this is the time to look at what it is.

        INVARIANT: `then` is called when that is done and told, at once if there is nothing to look
        at: until then the process must not become anything else.
        """
        before = self._again.get(pid)
        if before is not None:  # another of its threads
            before.append(lambda: self.asked_again(pid, then))
            return
        promised = self._last.pop(pid, None)
        if promised is None:
            then()
            return
        self._again[pid] = [then]

        def looked(found: Sequence[Looked]) -> None:
            self._tell_of(found)
            self._go_on(pid)

        self._aside(lambda: [(promised, self._view.look(pid))], looked)

    def ended(self, pid: int, then: Callable[[], None]) -> None:
        """A process has ended: `then` is called, after what it wanted last if that waits."""
        waiting = self._again.get(pid)
        if waiting is None:
            then()
        else:
            waiting.append(then)

    def finish(self) -> None:
        """Wait for no look any more."""
        for pid in tuple(self._again):
            self._go_on(pid)

    def _go_on(self, pid: int) -> None:
        for then in self._again.pop(pid, ()):
            then()

    def _tell_of(self, found: Sequence[Looked]) -> None:
        for promised, runs in found:
            if runs is not None:
                self._judge(promised, runs)

    def _wait(self, promised: Promised, turn: int) -> None:
        due = self._due[turn]
        if len(due) >= _WAITING_MOST:
            self.left_out += 1
            self._last.pop(promised.pid, None)
            return
        due.append(promised)
        if len(due) == 1:
            self._timer.call_later(_PAUSES_S[turn], lambda: self._look(turn))

    def _look(self, turn: int) -> None:
        due, self._due[turn] = self._due[turn], []
        there = []
        for promised in due:
            if self._last.get(promised.pid) is not promised:
                continue  # it was looked at when it asked again
            if self._view.is_there(promised.pid):
                there.append(promised)
            else:
                del self._last[promised.pid]
        if there:
            self._aside(
                lambda: [(each, self._view.look(each.pid)) for each in there],
                lambda looked: self._compare(looked, turn),
            )

    def _compare(self, looked: Sequence[Looked], turn: int) -> None:
        for promised, found in looked:
            if self._last.get(promised.pid) is not promised:
                continue  # it has asked again meanwhile
            if found is not None and not _is_over(self._with_line(promised, found), found):
                self._wait(promised, min(turn + 1, len(_PAUSES_S) - 1))
                continue
            del self._last[promised.pid]
            if found is not None:
                self._judge(promised, found)

    def _judge(self, promised: Promised, found: Found) -> None:
        known = self._with_line(promised, found)
        if has_begun(known, found) and not fits(known, found):
            self._tell(
                ExecDiffers(
                    pid=promised.pid, exe=found.exe, argv=found.argv, time_us=self._now_us()
                )
            )

    def _with_line(self, promised: Promised, found: Found) -> Promised:
        """What scripts of the system name is read only where one may be what runs."""
        if not promised.program.startswith(SYSTEM) or not _is_script_of(promised, found):
            return promised
        line = self._view.first_line(promised.pid, promised.program)
        return msgspec.structs.replace(promised, line=line)


def _is_over(promised: Promised, found: Found) -> bool:
    """Whether there is nothing to wait for: the exec is done, and its words can be read."""
    if fits(promised, found):
        return bool(found.argv)
    return has_begun(promised, found)


def is_there(pid: int) -> bool:
    """Whether a process still runs something; never waits for it."""
    try:
        os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 (of a process)
    except OSError:
        return False
    return True


def look(pid: int) -> Found | None:
    """What a process runs now; None if it has ended.

    INVARIANT: both parts are of one program: an exec between the two would look like another's.
    """
    raw, exe, before = b"", "", None
    try:
        while exe != before:
            before = os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 (of a process)
            opened = os.open(f"/proc/{pid}/cmdline", os.O_RDONLY | os.O_CLOEXEC)
            try:
                raw = os.read(opened, _READ_BYTES)
            finally:
                os.close(opened)
            exe = os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 (of a process)
    except OSError:
        return None
    # The kernel sets the program first and its words last (`begin_new_exec`, `create_elf_tables`).
    words = raw.removesuffix(b"\0").split(b"\0") if raw else ()
    return Found(_text(exe).removesuffix(_GONE), tuple(_text(each) for each in words))


def has_begun(promised: Promised, found: Found) -> bool:
    """Whether it runs something new: an exec that failed leaves everything as it was.

    What starts a program by its path has the same words at its end (`env /usr/bin/git log`, bwrap),
    before the exec: only where the program is a script do they tell that it runs.
    """
    if found.exe != promised.exe or found.argv == promised.argv:
        return True
    return promised.line is not None and _is_script_of(promised, found)


def fits(promised: Promised, found: Found) -> bool:
    """Whether that is what was promised: the program, or what a script's first line makes of it.

    Where there are no words yet, the program is judged alone.
    """
    words, line = promised.argv, promised.line
    if found.exe != promised.program:
        if line is None or found.exe != line.runs:
            return False
        words = (*line.words, promised.path, *words[1:])
    if not found.argv:
        return True
    if not promised.is_cut:
        return found.argv == (words or ("",))  # since Linux 5.18, none are an empty one
    kept = words[:-1]  # of the last, only a part may be known
    return found.argv[: len(kept)] == kept


def _is_script_of(promised: Promised, found: Found) -> bool:
    """Whether an interpreter may have been given the script: `[its words…, path, rest…]`."""
    rest = (promised.path, *promised.argv[1:])
    is_tail = len(found.argv) > len(rest) and found.argv[-len(rest) :] == rest
    return is_tail or promised.is_cut or not found.argv


def _text(raw: bytes | str) -> str:
    return os.fsencode(raw).decode("utf-8", "backslashreplace")
