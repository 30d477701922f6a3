"""A confined process that waits to go on, and then runs until it ends or is ended."""

import contextlib
import os
import re
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from ringfence.domain.error import UnavailableError
from ringfence.domain.sandbox import ListenerKind
from ringfence.sandbox.control_group import NOTHING_REACHED, Reached, SandboxGroup
from ringfence.sandbox.launch import GO, Failure, Launched
from ringfence.sandbox.trouble import refusal

_SWEEPS_MOST: Final = 200
"""Each ends a whole generation; one that forks faster than this meets its bound on processes."""

_FOR_GROUPS: Final = frozenset(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGCONT")
    if hasattr(signal, name)
)
"""Signals that end or go on with a whole job; any other is for one program that expects it."""

_RSS_BYTES: Final = 1 if sys.platform == "darwin" else 1024
"""What `ru_maxrss` counts in (getrusage(2) of macOS and of Linux)."""

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How it ended: with an exit code, or by a signal. Times are processor seconds."""

    exit_code: int | None
    signal: int | None
    user_s: float = 0.0
    system_s: float = 0.0
    most_memory_bytes: int = 0
    reached: Reached = NOTHING_REACHED


@final
class Prepared:
    """Made by `prepare` of a tier. Nothing of the command has run before `go`.

    `listeners` and `notify_fd` belong to whoever takes them; `terminal` is our side of the terminal
    of an interactive sandbox. Its life hangs on the thread that prepared it: use the main one.
    """

    def __init__(  # noqa: PLR0913 (what a tier says of it, each by name)
        self,
        launched: Launched,
        *,
        listeners: Sequence[tuple[ListenerKind, socket.socket]] = (),
        proxy: Address | None = None,
        gateway: Address | None = None,
        writable: Sequence[str] = (),
        group: SandboxGroup | None = None,
    ) -> None:
        """`proxy` and `gateway` are the plane's listeners as the agent knows them.

        `writable` is where the monitor carries out what the agent changes of modes and times.
        `group` is what bounds it, and is removed with it; None where nothing does.
        """
        self.pid = launched.pid
        self.pidfd = os.pidfd_open(launched.pid) if hasattr(os, "pidfd_open") else -1
        self.notify_fd = launched.descriptors[0] if launched.descriptors else None
        self.listeners = tuple(listeners)
        self.proxy_address = proxy
        self.gateway_address = gateway
        self.writable = tuple(writable)
        self.terminal = launched.terminal
        self.is_launched_by_bwrap = bool(listeners)
        self.groups = () if group is None else group.paths
        self.bounds = () if group is None else group.bounds()
        self.lacking = () if group is None else group.lacking
        """What no control group bounds, though it is to be bounded."""
        self._group = group
        if group is not None:
            group.is_kept = True
        self._channel = launched.channel
        self._ended: Ended | None = None

    def go(self) -> None:
        """Let the command begin: its start is the next call that `notify_fd` tells of."""
        try:
            self._channel.send(GO)
        except OSError as error:
            raise UnavailableError("sandbox_gone", "the sandbox ended before it began") from error

    def signal(self, number: int) -> bool:
        """Pass a signal on to the command and its group, as a terminal would.

        False if there is no command yet: bwrap is still building. Nothing if all has ended.
        """
        if self._ended is not None:
            return True  # its number may be another's by now
        firsts = children(self.pid) if self.is_launched_by_bwrap else []
        commands = [pid for first in firsts for pid in children(first)]
        groups: set[int] = set()
        for pid in commands if self.is_launched_by_bwrap else [self.pid]:
            with contextlib.suppress(ProcessLookupError):
                group = os.getpgid(pid)
                # The first process of a namespace leads what was begun without a terminal; the
                # kernel keeps from it what it does not handle, and that is all but SIGCHLD.
                if number in _FOR_GROUPS and group in (pid, *firsts):
                    groups.add(group)
                else:
                    os.kill(pid, number)
        for group in groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)
        return bool(commands) or not self.is_launched_by_bwrap

    def kill(self) -> None:
        """End every process of the sandbox at once; harmless if all has ended."""
        if self._ended is not None:
            return
        firsts = children(self.pid) if self.is_launched_by_bwrap else []
        for pid in (*firsts, self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._group is not None:
            self._group.kill()

    def wait(self) -> Ended:
        """Wait for the end of the command, and end all that it has left behind."""
        if self._ended is None:
            _, status, used = os.wait4(self.pid, 0)
            swept = _sweep()
            reached = NOTHING_REACHED if self._group is None else self._group.finish()
            self._ended = _ended(status, [used, *swept], reached)
            self._close()
        return self._ended

    def _close(self) -> None:
        self._channel.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)


def or_refuse(found: Prepared | Failure) -> Prepared:
    """Raises UsageError `no_sandbox` in place of a failure."""
    if isinstance(found, Failure):
        raise refusal(found.step, found.code, found.place)
    return found


def _ended(status: int, used: list[Any], reached: Reached) -> Ended:
    code = os.waitstatus_to_exitcode(status)
    return Ended(
        exit_code=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        user_s=sum(each.ru_utime for each in used),
        system_s=sum(each.ru_stime for each in used),
        most_memory_bytes=max(each.ru_maxrss for each in used) * _RSS_BYTES,
        reached=reached,
    )


def _sweep() -> list[Any]:
    """End the orphans that came to us, which carry a filter that we do not; what they used."""
    used: list[Any] = []
    own = _filters("self")
    for _ in range(_SWEEPS_MOST):
        orphans = [pid for pid in children(os.getpid()) if _filters(str(pid)) > own]
        if not orphans:
            break
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in orphans:
            with contextlib.suppress(ChildProcessError):
                used.append(os.wait4(pid, 0)[2])
    return used


def _filters(pid: str) -> int:
    """Under how many filters a process is: no process can have fewer than its parent."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    found = re.search(r"^Seccomp_filters:\s*(\d+)", status, re.MULTILINE)
    return int(found[1]) if found else 0


def children(pid: int) -> list[int]:
    """The processes that this one started, or that became its own."""
    found: list[int] = []
    for path in Path("/proc").glob(f"{pid}/task/*/children"):
        with contextlib.suppress(OSError):
            found += map(int, path.read_text(encoding="utf-8").split())
    return found
