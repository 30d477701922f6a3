"""The processes of a sandbox that have executed something, each until its end was told."""

import contextlib
import os
import select
import signal
from typing import final

import msgspec

from ringfence.transport.kernel import process
from ringfence.transport.kernel.process import Identity


class Exited(msgspec.Struct, frozen=True, kw_only=True):
    """A process that had executed something has ended; neither is known on older kernels."""

    pid: int
    exit_code: int | None = None
    signal: int | None = None


@final
class Followed:
    """Holds each process by a descriptor, so that its number means no other."""

    def __init__(self) -> None:
        """Nobody is followed yet."""
        self._pidfds: dict[int, int] = {}
        self._pids: dict[int, int] = {}
        self._poll = select.epoll()
        self._wanted = select.EPOLLIN | select.EPOLLET
        """What wakes us of a process: that it ends and, where kernels tell, that it is reaped."""
        self._met: tuple[int, int] | None = None

    def __contains__(self, pid: int) -> bool:
        """Whether it is followed: it runs a program of its own."""
        return pid in self._pidfds

    def fileno(self) -> int:
        """Readable when `ended` has something to give."""
        return self._poll.fileno()

    def meet(self, thread: int) -> Identity:
        """Which process a thread belongs to. Raises OSError if it has gone.

        What was opened for it is kept for `follow`, which mostly comes next.
        """
        known = self._pidfds.get(thread)
        told = None if known is None else process.told_identity(known)
        if told is not None:
            return told
        self._let_go()
        try:
            pidfd = os.pidfd_open(thread)
        except OSError:  # not the first thread of its process
            return process.read_identity(thread)
        self._met = thread, pidfd
        return process.told_identity(pidfd) or process.read_identity(thread)

    def follow(self, pid: int) -> Exited | None:
        """Hear of a process's end; gives the end of another that had its number before."""
        gone = None
        known = self._pidfds.get(pid)
        if known is not None:
            try:
                signal.pidfd_send_signal(known, 0)
            except ProcessLookupError:
                gone = self._end(known, pid) or Exited(pid=pid)
                self._forget(pid)
            else:
                return None
        if self._met is not None and self._met[0] == pid:
            pidfd, self._met = self._met[1], None
        else:
            pidfd = os.pidfd_open(pid)
        self._pidfds[pid] = pidfd
        self._pids[pidfd] = pid
        self._poll.register(pidfd, self._wanted)
        return gone

    def ended(self) -> list[Exited]:
        """Those whose end can be told by now.

        Each descriptor is told of once when its process ends and, on kernels that keep its status,
        again when that is there.
        """
        found: list[Exited] = []
        for pidfd, _ in self._poll.poll(0):
            pid = self._pids.get(pidfd)
            end = None if pid is None else self._end(pidfd, pid)
            if pid is not None and end is not None:
                self._forget(pid)
                found.append(end)
        return found

    def kill(self, pid: int) -> None:
        """End a process that is followed; harmless if it has ended."""
        known = self._pidfds.get(pid)
        if known is not None:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(known, signal.SIGKILL)

    def finish(self) -> list[Exited]:
        """All whose end was not seen; nobody is followed any more."""
        left = [Exited(pid=pid) for pid in self._pidfds]
        for pid in list(self._pidfds):
            self._forget(pid)
        self._let_go()
        return left

    def close(self) -> None:
        """Follow nobody any more."""
        self.finish()
        self._poll.close()

    def _end(self, pidfd: int, pid: int) -> Exited | None:
        """How a process has ended; None if that is not there yet."""
        try:
            status = process.exit_status(pidfd)
        except OSError:
            return Exited(pid=pid)
        if status is None:
            return None
        # This kernel tells how a process ended when it is reaped, so that nothing before that need
        # wake us: what is left is EPOLLHUP, which is always told.
        self._wanted = select.EPOLLET
        code = os.waitstatus_to_exitcode(status)
        return Exited(pid=pid, exit_code=code) if code >= 0 else Exited(pid=pid, signal=-code)

    def _forget(self, pid: int) -> None:
        pidfd = self._pidfds.pop(pid)
        del self._pids[pidfd]
        os.close(pidfd)  # which also takes it out of the epoll: it is open nowhere else

    def _let_go(self) -> None:
        if self._met is not None:
            os.close(self._met[1])
            self._met = None
