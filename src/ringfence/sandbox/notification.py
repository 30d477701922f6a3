"""The calls that the kernel hands to the monitor: what is executed, and what is connected.

What was read of a call may be changed by another thread of the agent before the kernel carries it
out: it is evidence, and good for policy on programs that do not race on purpose. What can be
reached is bounded by namespaces, mounts and filters, not by this. Connecting is different: the
monitor does it by itself, with the address that it has read.
"""

import errno
import ipaddress
import os
import select
import socket
import struct
from collections.abc import Collection
from typing import Final, final

import msgspec

from ringfence.sandbox import metadata, refused_call
from ringfence.sandbox.filter import CONNECT, EXEC, SEND
from ringfence.sandbox.followed import Exited, Followed
from ringfence.sandbox.refused_call import CallRules, RefusedCall
from ringfence.transport.kernel import mount, process
from ringfence.transport.kernel.memory import Memory, Pages
from ringfence.transport.kernel.process import Identity
from ringfence.transport.kernel.seccomp import Notice, NotifyDescriptor
from ringfence.transport.kernel.syscall import architecture, call

_PATH_BYTES: Final = 4096
_ARGUMENTS_MOST: Final = 4096
_ARGUMENTS_BYTES: Final = 64 * 1024
"""Of all arguments together; the kernel allows more, and what is left out is marked."""
_HERE: Final = 0xFFFFFF9C  # AT_FDCWD as the kernel reads it: an int
_EMPTY_PATH: Final = 0x1000
_ADDRESS_BYTES: Final = 28
_CONNECT_S: Final = 1
_LOOPBACK: Final = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::ffff:127.0.0.1"}
_MAPPED: Final = bytes(10) + b"\xff\xff"
"""Before an IPv4 address in an IPv6 one (RFC 4291, 2.5.5.2)."""
_AT_ONCE: Final = 64
"""How many calls are read before anything else is done; a heartbeat waits for some milliseconds."""
_UNRESOLVED: Final = (b"/proc/", b"/dev/fd/")
"""Paths that mean something else to us than to whoever uses them."""
_ITSELF: Final = b"/proc/self/exe"
"""Programs that start themselves anew name this, Codex among them."""
_FORKS: Final = 8
"""How many processes that run no program of their own are looked through for one that does."""


class ExecAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A process wants to become another program; it waits for `allow` or `refuse`.

    `path` is as it was given, `resolved` the file that it leads to for the agent, `exe` what the
    process is now. With `is_fd_exec` the program was given as an open file. `is_cut` tells that
    there is more of `argv`.
    """

    id: int
    pid: int
    parent: int
    path: str
    resolved: str
    argv: tuple[str, ...]
    directory: str
    exe: str
    is_fd_exec: bool = False
    is_cut: bool = False


class ConnectAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A process wants to connect; it waits for `connect` or `refuse`. Reduced tier only.

    `address` is empty for what is no internet address. `is_reachable` tells that it is one of the
    plane's listeners.
    """

    id: int
    pid: int
    fd: int
    family: int
    address: str
    port: int
    is_reachable: bool


Call = ExecAsked | ConnectAsked | RefusedCall
Event = Call | Exited


@final
class Notifications:
    """Everything that the kernel asks of one sandbox's monitor."""

    def __init__(
        self,
        notify_fd: int,
        *,
        launcher: int = 0,
        reachable: Collection[tuple[str, int]] = (),
        writable: Collection[str] = (),
    ) -> None:
        """Owns the descriptor. `launcher` is the pid whose first exec is ours: bwrap's start.

        It is 0 in the reduced tier, which has none.

        `reachable` are the addresses to which connecting is carried out, `writable` the folders in
        which modes and times of files are.
        """
        self._notify = NotifyDescriptor(notify_fd)
        self._launcher = launcher
        self._is_reduced = not launcher
        self._rules = CallRules(is_reduced=self._is_reduced)
        self._reachable = frozenset(reachable)
        self._root = -1
        self._followed = Followed()
        self._ends: list[Exited] = []
        """Told late: another process has their number already."""
        self._pages = Pages()
        self._poll = select.epoll()
        self._poll.register(notify_fd, select.EPOLLIN)
        self._poll.register(self._followed.fileno(), select.EPOLLIN)
        self._waiting = select.poll()
        self._waiting.register(notify_fd, select.POLLIN)
        self._writable = tuple(writable)
        numbers = architecture().numbers
        asked = (*EXEC, CONNECT, SEND, *metadata.CALLS, *self._rules.names())
        self._names = {numbers[name]: name for name in asked if name in numbers}
        self.is_over = False
        """No process is left under the filter."""

    def fileno(self) -> int:
        """Readable when `calls` or `ends` has something to give."""
        return self._poll.fileno()

    def read(self, timeout_s: float = 0) -> list[Event]:
        """What has come; empty after the timeout."""
        return [*self.calls(timeout_s), *self.ends()]

    def calls(self, timeout_s: float = 0) -> list[Call]:
        """What processes ask, in order; waits for that or for an end."""
        calls: list[Call] = []
        for descriptor, mask in self._poll.poll(timeout_s):
            if descriptor != self._notify.fileno():
                continue
            if mask & select.EPOLLIN:
                calls = self._notices()
            else:
                self._poll.unregister(descriptor)
                self.is_over = True
        return calls

    def ends(self) -> list[Exited]:
        """The processes that have ended."""
        late, self._ends = self._ends, []
        return late + self._followed.ended()

    def _notices(self) -> list[Call]:
        """All that wait by now: what is asked in one turn shares one commit of the plane's."""
        calls: list[Call] = []
        for _ in range(_AT_ONCE):
            notice = self._notify.receive()
            call = self._judge(notice) if notice else None
            if call is not None:
                calls.append(call)
            if not any(mask & select.POLLIN for _, mask in self._waiting.poll(0)):
                break
        return calls

    def allow(self, id_: int) -> None:
        """Let the kernel carry it out."""
        self._notify.let(id_)

    def refuse(self, id_: int, number: int = errno.EACCES) -> None:
        """Let it fail with this errno."""
        self._notify.answer(id_, error=number)

    def reserve(self, asked: ConnectAsked) -> int:
        """Give the agent's socket a port of its own, so that the plane can be told of it first.

        The port; 0 if there is none, and then the agent has its answer.
        """
        if not asked.is_reachable:
            self.refuse(asked.id)
            return 0
        try:
            with process.get_socket(asked.pid, asked.fd) as ours:
                if not self._notify.is_waiting(asked.id):
                    return 0
                if not ours.getsockname()[1]:
                    ours.bind((_LOOPBACK[ours.family], 0))
                return int(ours.getsockname()[1])
        except OSError as error:
            self.refuse(asked.id, error.errno or errno.EACCES)
            return 0

    def connect(self, asked: ConnectAsked) -> int:
        """Connect in the agent's place; our port, by which the plane knows it, or 0 if it failed.

        The agent gets the same answer as from the kernel.
        """
        if not asked.is_reachable:
            self.refuse(asked.id)
            return 0
        try:
            with process.get_socket(asked.pid, asked.fd) as ours:
                if not self._notify.is_waiting(asked.id):
                    return 0
                number = _connect(ours, asked)
                port = int(ours.getsockname()[1]) if number in {0, errno.EINPROGRESS} else 0
        except OSError as error:
            self.refuse(asked.id, error.errno or errno.EACCES)
            return 0
        self._notify.answer(asked.id, error=number)
        return port

    def kill(self, pid: int) -> None:
        """End a process that was asked about; harmless if it has ended."""
        self._followed.kill(pid)

    def finish(self) -> list[Exited]:
        """Processes whose end was not seen; to be asked when the sandbox has ended."""
        return self._followed.finish()

    def close(self) -> None:
        """Answer nothing any more: whatever waits fails with ENOSYS."""
        self._notify.close()
        self._followed.close()
        self._poll.close()
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def _judge(self, notice: Notice) -> Call | None:
        """What is asked or was tried; None if it was answered here and there is no more to it."""
        try:
            who = self._followed.meet(notice.pid)
            return self._judged(notice, who, Memory(notice.pid, self._pages))
        # What is not there, hides itself or means nothing cannot be carried out. INVARIANT: what
        # one process asks keeps nobody from an answer.
        except (OSError, ValueError, ArithmeticError):
            is_there = self._notify.is_waiting(notice.id)
            self.refuse(notice.id)
            name = self._names.get(notice.number, "")
            return refused_call.unread(notice.pid, name) if is_there else None

    def _judged(self, notice: Notice, who: Identity, memory: Memory) -> Call | None:
        name = self._names.get(notice.number, "")
        number = self._rules.errno(name, notice.arguments)
        if number:
            self.refuse(notice.id, number)
            return refused_call.refused(who.pid, name, notice.arguments, number)
        if name in metadata.CALLS:
            self._change(notice, name, memory)
            return None
        if name in {CONNECT, SEND} and not self._is_reduced:
            return self._going(notice, who, name, memory)
        event = self._asked(notice, who, name, memory)
        return event if event and self._notify.is_waiting(notice.id) else None

    def _asked(
        self, notice: Notice, who: Identity, name: str, memory: Memory
    ) -> ExecAsked | ConnectAsked | None:
        """What waits for an answer; None if it has one."""
        if name == CONNECT:
            return self._connecting(notice, who, memory)
        if name in EXEC and who.pid != self._launcher:
            return self._executing(notice, who, memory)
        if name in EXEC:
            self._launcher = 0
            self.allow(notice.id)
        else:
            self.refuse(notice.id)  # the filter hands nothing else over
        return None

    def _going(
        self, notice: Notice, who: Identity, name: str, memory: Memory
    ) -> RefusedCall | None:
        """Let it go where the namespace lets it: to a listener of ours, or nowhere."""
        try:
            found = refused_call.nowhere(who.pid, name, notice.arguments, memory)
        except (OSError, ValueError):
            found = None  # the kernel says what is wrong with it
        self.allow(notice.id)
        return found

    def _change(self, notice: Notice, name: str, memory: Memory) -> None:
        """Carry out what is wanted of a file."""
        change = metadata.read(name, notice.arguments, memory)
        if self._notify.is_waiting(notice.id):
            number = metadata.carry_out(notice.pid, change, self._writable)
            self._notify.answer(notice.id, error=number)

    def _executing(self, notice: Notice, who: Identity, memory: Memory) -> ExecAsked | None:
        is_at = self._names[notice.number] == "execveat"
        place, *rest = notice.arguments if is_at else (_HERE, *notice.arguments)
        memory.expect(rest[:2])
        given = memory.text(rest[0], _PATH_BYTES)
        directory = _link(f"/proc/{notice.pid}/cwd")
        is_fd_exec = is_at and not given and bool(notice.arguments[4] & _EMPTY_PATH)
        if is_fd_exec:
            resolved = _link(f"/proc/{notice.pid}/fd/{place & 0xFFFFFFFF}")
        else:
            start = directory if place & 0xFFFFFFFF == _HERE else ""
            start = start or _link(f"/proc/{notice.pid}/fd/{place & 0xFFFFFFFF}")
            try:
                resolved = self._resolve(notice.pid, os.path.join(os.fsencode(start), given))  # noqa: PTH118 (bytes of another process)
            except OSError as error:
                self.refuse(notice.id, error.errno or errno.ENOENT)
                return None
        argv, is_cut = _arguments(memory, rest[1])
        above = self._above(who)
        gone = self._followed.follow(who.pid)
        if gone is not None:
            self._ends.append(gone)
        return ExecAsked(
            id=notice.id,
            pid=who.pid,
            parent=above,
            path=_text(given),
            resolved=resolved,
            argv=argv,
            directory=directory,
            exe=_link(f"/proc/{notice.pid}/exe"),
            is_fd_exec=is_fd_exec,
            is_cut=is_cut,
        )

    def _above(self, who: Identity) -> int:
        """The nearest process above one that runs a program: shells fork before they begin one."""
        above = who.parent
        for _ in range(0 if who.pid in self._followed else _FORKS):
            if above in self._followed:
                return above
            try:
                above = process.identity(above).parent
            except OSError:
                break
        return who.parent

    def _resolve(self, pid: int, path: bytes) -> str:
        """The file that a path leads to for the agent. Raises OSError."""
        if path == _ITSELF:
            return _link(f"/proc/{pid}/exe")
        if path.startswith(_UNRESOLVED):
            return _text(path)
        if self._root < 0:
            self._root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_CLOEXEC)
        found = mount.open_in_root(self._root, os.fsdecode(path))
        try:
            return _link(f"/proc/self/fd/{found}")
        finally:
            os.close(found)

    def _connecting(self, notice: Notice, who: Identity, memory: Memory) -> ConnectAsked:
        fd, pointer, length = notice.arguments[:3]
        raw = memory.read(pointer, min(length & 0xFFFFFFFF, _ADDRESS_BYTES))
        family, address, port = refused_call.read_address(raw)
        return ConnectAsked(
            id=notice.id,
            pid=who.pid,
            fd=fd & 0xFFFFFFFF,
            family=family,
            address=address,
            port=port,
            is_reachable=(address, port) in self._reachable,
        )


def _arguments(memory: Memory, pointer: int) -> tuple[tuple[str, ...], bool]:
    """The arguments, and whether there are more than are kept."""
    pointers = memory.pointers(pointer, _ARGUMENTS_MOST)
    memory.expect(pointers)
    left = _ARGUMENTS_BYTES
    found: list[str] = []
    for each in pointers:
        text = memory.text(each, left)
        left -= len(text) + 1
        found.append(_text(text))
        if left <= 0:
            return tuple(found), True
    return tuple(found), len(pointers) == _ARGUMENTS_MOST


def _link(path: str) -> str:
    return _text(os.readlink(os.fsencode(path)))  # noqa: PTH115 (bytes of another process)


def _text(raw: bytes) -> str:
    """Bytes as text that any encoder takes: what is not UTF-8 is shown as a backslash and hex."""
    return raw.decode("utf-8", "backslashreplace")


def _connect(ours: socket.socket, asked: ConnectAsked) -> int:
    """Connect to what was read, without waiting for long; the errno, 0 for success."""
    limit = struct.pack("@ll", _CONNECT_S, 0)
    before = ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, len(limit))
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    try:
        call("connect", ours.fileno(), *_packed(asked))
    except OSError as error:
        return error.errno or errno.EACCES
    finally:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, before)
    return 0


def _packed(asked: ConnectAsked) -> tuple[bytes, int]:
    """The `struct sockaddr` of what was read, made anew, and its length."""
    head = struct.pack("=H", asked.family) + struct.pack("!H", asked.port)
    address = ipaddress.ip_address(asked.address)
    if asked.family == socket.AF_INET:
        raw = head + address.packed + bytes(8)
    else:
        mapped = address.packed if address.version == 6 else _MAPPED + address.packed  # noqa: PLR2004 (the version's name)
        raw = head + bytes(4) + mapped + bytes(4)
    return raw, len(raw)
