"""The control group of one sandbox: it bounds processes, memory and processor time as a whole.

Where this machine gives us no group, other bounds are left, and the record says which.
"""

import contextlib
import os
import posixpath
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, final

from ringfence.domain.error import UsageError
from ringfence.domain.sandbox import Bound
from ringfence.sandbox.group_trouble import mend
from ringfence.sandbox.plan import SandboxLimits
from ringfence.transport.kernel import control_group as kernel
from ringfence.transport.kernel.control_group import (
    ALWAYS,
    CPU,
    MEMORY,
    PIDS,
    ControlGroup,
    Hierarchy,
)

_SHARE: Final = 0.75
"""Of the memory that we may have ourselves: the rest is for the plane and for people."""
_MIB: Final = 1024 * 1024
_UNBOUNDED: Final = sys.maxsize
_BOUND: Final = {1: Bound.CGROUP_V1, 2: Bound.CGROUP_V2}
_WHAT: Final = {PIDS: "processes", MEMORY: "memory", CPU: "processor time"}
_MOST_MEMORY: Final = {1: "memory.limit_in_bytes", 2: "memory.max"}
_MOST_SWAP: Final = {1: "memory.memsw.limit_in_bytes", 2: "memory.swap.max"}
"""In version 1 memory and swap together, in version 2 swap alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Which bounds a sandbox ran into: processes that the kernel ended, starts that it refused."""

    killed_for_memory: int = 0
    processes_refused: int = 0


NOTHING_REACHED: Final = Reached()


@dataclass(frozen=True, slots=True)
class _Part:
    """A group in one hierarchy, and which controllers bound the sandbox by it."""

    group: ControlGroup
    controllers: frozenset[str]


@final
@dataclass(slots=True, kw_only=True)
class SandboxGroup:
    """What bounds one sandbox: a group in each hierarchy that has a part in it, or none at all."""

    limits: SandboxLimits
    process_limit: int = 0
    """How many processes it may have, if a group bounds that."""
    memory_bytes: int | None = None
    """How much it may hold, if a group bounds that."""
    processor_percent: int | None = None
    """How much it may run, if a group bounds that; 100 is one processor."""
    is_kept: bool = False
    """Whether a sandbox has it, which will finish it."""
    _parts: list[_Part] = field(default_factory=list)

    @property
    def processes(self) -> Bound:
        """What bounds the number of its processes."""
        found = self._by(PIDS)
        return found or (Bound.RLIMIT if os.geteuid() else Bound.NONE)

    @property
    def memory(self) -> Bound:
        """What bounds its memory."""
        found = self._by(MEMORY)
        return found or (Bound.RLIMIT if self.limits.address_bytes else Bound.NONE)

    @property
    def paths(self) -> tuple[str, ...]:
        """The folders of the groups."""
        return tuple(each.group.path for each in self._parts)

    @property
    def lacking(self) -> tuple[str, ...]:
        """What is to be bounded and no group bounds: `pids`, `memory`, `cpu`."""
        return tuple(name for name in _controllers(self.limits) if self._by(name) is None)

    @property
    def is_counted(self) -> bool:
        """Whether a group counts its processes."""
        return self._by(PIDS) is not None

    def take(self, pid: int) -> None:
        """Have the process in it that becomes the sandbox, before it runs anything of the agent's.

        Where it cannot be had, what the group would bound is not bounded. Raises UsageError
        `no_control_group` if that may not be.
        """
        for part in tuple(self._parts):
            try:
                part.group.take(pid)
            except OSError:
                self._parts.remove(part)
                part.group.remove()
                if MEMORY in part.controllers:
                    self.memory_bytes = None
                if PIDS in part.controllers:
                    self.process_limit = 0
                if CPU in part.controllers:
                    self.processor_percent = None
        self.check()

    def kill(self) -> None:
        """End every process in it."""
        for each in self._parts:
            each.group.kill()

    def finish(self) -> Reached:
        """End what is left, say what was reached, and remove it. Asked again, it says nothing."""
        killed = refused = 0
        for each in (part.group for part in self._parts):
            killed += each.count("memory.events", "oom_kill")
            killed += each.count("memory.oom_control", "oom_kill")
            refused += each.count("pids.events", "max")
            each.remove()
        self._parts.clear()
        return Reached(killed_for_memory=killed, processes_refused=refused)

    def check(self) -> None:
        """Raises UsageError `no_control_group` if one is required and does not bound everything."""
        left = self.lacking
        if self.limits.is_group_required and left:
            self.finish()
            words = " and ".join(_WHAT[each] for each in left)
            raise UsageError(
                "no_control_group",
                f"no control group can bound a sandbox's {words} here, and `cgroup: required` says"
                " that one must",
                help=mend(left),
            )

    def bounds(self) -> tuple[str, ...]:
        """What bounds its processes and its memory, and its processors if that was asked for.

        As the record has it.
        """
        processes = self.processes
        said = "processes: no bound"
        if processes is not Bound.NONE:
            said = f"{self.process_limit or self.limits.processes} processes: {processes}"
        return said, self._memory_said(), *self._processors_said()

    def _memory_said(self) -> str:
        memory, address = self.memory, self.limits.address_bytes
        if self.memory_bytes is not None:
            return f"{self.memory_bytes // _MIB} MiB of memory: {memory}"
        if address is not None:
            return f"{address // _MIB} MiB of address space for each process: {memory}"
        return "memory: no bound"

    def _processors_said(self) -> tuple[str, ...]:
        if self.limits.processor_percent is None:
            return ()
        by = self._by(CPU)
        if by is None:
            return ("processor time: no bound",)
        return (f"{self.processor_percent} % of a processor: {by}",)

    def add(self, hierarchy: Hierarchy, parent: str, controllers: frozenset[str]) -> None:
        """Be bounded by one more hierarchy, as far as it lets us."""
        try:
            group = kernel.make(parent, hierarchy.version)
        except OSError:
            return
        bounding: set[str] = set()
        # A group above ours may bound us by less: root's may lie beside it and not below.
        if PIDS in controllers:
            most = min(self.limits.processes, kernel.least(hierarchy, "pids.max") or _UNBOUNDED)
            if _set(group, "pids.max", most):
                bounding.add(PIDS)
                self.process_limit = most
        if MEMORY in controllers:
            usual = usual_memory(hierarchy)
            own = kernel.least(hierarchy, _MOST_MEMORY[group.version]) or _UNBOUNDED
            most = min(self.limits.memory_bytes or usual, own)
            if _set(group, _MOST_MEMORY[group.version], most):
                bounding.add(MEMORY)
                self.memory_bytes = most
                # What may be swapped out without end is not bounded; absent where nothing swaps.
                _set(group, _MOST_SWAP[group.version], most if group.version == 1 else 0)
        if CPU in controllers and self.limits.processor_percent is not None:
            above = kernel.least_processors(hierarchy) or _UNBOUNDED
            most = min(self.limits.processor_percent, above)
            with contextlib.suppress(OSError):
                group.bound_processors(most)
                bounding.add(CPU)
                self.processor_percent = most
        self._parts.append(_Part(group, frozenset(bounding)))

    def _by(self, controller: str) -> Bound | None:
        found = (each for each in self._parts if controller in each.controllers)
        return next((_BOUND[each.group.version] for each in found), None)


def _set(group: ControlGroup, name: str, number: int) -> bool:
    try:
        group.write(name, str(number))
    except OSError:
        return False
    return True


def make(limits: SandboxLimits) -> SandboxGroup:
    """A group with these limits, as far as this machine gives one.

    Ends and removes what sandboxes whose monitors were killed left behind. Raises UsageError
    `no_control_group` if the limits require one.
    """
    made = SandboxGroup(limits=limits)
    for hierarchy, parent, controllers in _places(limits):
        kernel.sweep([parent])
        made.add(hierarchy, parent, controllers)
    made.check()
    return made


@contextlib.contextmanager
def made(limits: SandboxLimits) -> Iterator[SandboxGroup]:
    """`make`, and undo it if what follows does not give it to a sandbox that runs."""
    group = make(limits)
    try:
        yield group
    finally:
        if not group.is_kept:
            group.finish()


def sweep() -> int:
    """End and remove what sandboxes whose monitors were killed left behind; how many groups."""
    return kernel.sweep([folder for each in kernel.hierarchies() for folder in each.chain])


def reap(paths: Iterable[str]) -> None:
    """End and remove those of a sandbox's groups that its monitor has not removed, and not holds.

    A path that is no group of ours is left alone, whoever named it.
    """
    named = [path for path in paths if posixpath.normpath(path) == path]
    for mount in (each.mount for each in kernel.hierarchies()) if named else ():
        for path in named:
            if path.startswith(f"{mount}/"):
                kernel.reap(path)


def _controllers(limits: SandboxLimits) -> tuple[str, ...]:
    return ALWAYS if limits.processor_percent is None else (*ALWAYS, CPU)


def _places(limits: SandboxLimits) -> Iterator[tuple[Hierarchy, str, frozenset[str]]]:
    """Where a group would bound something: moving into one that does not is only time."""
    for hierarchy in kernel.hierarchies():
        at = kernel.place(hierarchy, _controllers(limits))
        if at is not None and at[1]:
            yield hierarchy, *at


def usual_memory(hierarchy: Hierarchy) -> int:
    """What a sandbox may hold if nobody says how much: a share of what we may have ourselves."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    own = kernel.least(hierarchy, _MOST_MEMORY[hierarchy.version])
    return int(min(machine, own or machine) * _SHARE)
