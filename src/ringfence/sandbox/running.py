"""One run from its grant to its end: the sandbox is made, joined to the plane, and watched."""

import asyncio
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from ringfence.domain.agent import Protection, SandboxRules, SandboxTier
from ringfence.domain.monitoring import ExecWaits, Join, Kill
from ringfence.domain.sandbox import ListenerKind, SandboxGrant
from ringfence.sandbox import assembly, limits, mount_guard, reduced, strict, unconfined
from ringfence.sandbox.asking import CommandQuestions
from ringfence.sandbox.assembly import Scene, Setup, Task
from ringfence.sandbox.builtins import Builtins
from ringfence.sandbox.group_trouble import mend
from ringfence.sandbox.monitor import Monitor, Part, Result
from ringfence.sandbox.notification import Notifications
from ringfence.sandbox.plan import MASKED, SandboxPlan
from ringfence.sandbox.plane_link import PlaneLink
from ringfence.sandbox.prepared import Prepared
from ringfence.sandbox.report import RunReport
from ringfence.sandbox.terminal import TerminalRelay
from ringfence.sandbox.workspace.run_note import NotedFolder, RunNote, RunNotes
from ringfence.sandbox.workspace.watched_folder import WatchedFolder
from ringfence.transport.kernel.control_group import CPU, MEMORY
from ringfence.transport.kernel.syscall import architecture

_LOOPBACK: Final = "127.0.0.1"
_MARK_CHARACTERS: Final = 12
"""As many of a sandbox's id as tell it from others in the name of a file."""

_NAMED_MOST: Final = 8
"""How many files are named in one line."""

Listeners = Sequence[tuple[ListenerKind, socket.socket]]


MakeSetup = Callable[[SandboxGrant, Scene, tuple[str, ...]], Setup]


def run(
    grant: SandboxGrant, task: Task, setup: MakeSetup, kept: Sequence[str], data: Path
) -> Result:
    """Run it in the granted tier; `kept` are files of the plane that no agent may see.

    `data` is the plane's data folder, where runs leave notes for each other.

    To be called in the main thread. Raises UsageError and UnavailableError if it does not begin;
    then nothing of the command has run.
    """
    if grant.tier is not SandboxTier.NONE:
        architecture()
        mount_guard.check_folder(task.workspace)  # first: what else is wrong may follow from it
    with ExitStack() as after:
        folder, listeners = "", _on_loopback(grant)
        if grant.tier is not SandboxTier.STRICT:
            folder = assembly.run_folder()
            after.callback(shutil.rmtree, folder, ignore_errors=True)
        for _, each in listeners:
            after.callback(each.close)
        places = {kind: (_LOOPBACK, each.getsockname()[1]) for kind, each in listeners}
        where = assembly.scene(
            grant.tier,
            folder,
            places.get(ListenerKind.GATEWAY, (_LOOPBACK, 0)),
            places.get(ListenerKind.PROXY),
        )
        folders = tuple(dict.fromkeys((task.directory, task.workspace)))
        made = setup(grant, replace(where, folders=folders), task.command)
        plan = assembly.plan(grant, task, where, made, os.environ)
        builtins = None
        if task.tells_builtins and plan.tier is not SandboxTier.NONE:
            builtins = Builtins()
            after.callback(builtins.close)
            plan = builtins.asked(plan, where.place)
        for near in grant.neighbours:
            _say(f"agent {near.agent} is at work in {near.folder} too ({near.sandbox})")
        watched = _watched(plan, after)
        since_us = _note(grant, watched, RunNotes(data), after) if watched else None
        plan = replace(plan, identities={each.path: each.identity for each in watched})
        prepared = _prepare(plan, kept)
        _say_unheld(grant.rules, prepared.lacking)
        both = (*prepared.listeners, *listeners)
        evidence = Watching(folders=watched, builtins=builtins, shared_since_us=since_us)
        return asyncio.run(_watch(prepared, plan, grant, both, evidence))


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """Where it is looked at what a run leaves behind, beside its output."""

    folders: Sequence[WatchedFolder] = ()
    builtins: Builtins | None = None
    shared_since_us: int | None = None
    """Since when there may be what other runs have left."""


def _watched(plan: SandboxPlan, after: ExitStack) -> Sequence[WatchedFolder]:
    """Every folder that the agent may change, held open; the workspace first."""
    if plan.tier is SandboxTier.NONE:
        return ()
    folders: list[WatchedFolder] = []
    for bind in plan.writable:
        folders.append(WatchedFolder(bind.source))
        after.callback(folders[-1].close)
    return folders


def _note(
    grant: SandboxGrant, watched: Sequence[WatchedFolder], notes: RunNotes, after: ExitStack
) -> int | None:
    """Let those that come later know of this run, and put masks where they are wanted.

    Gives since when (UTC) there may be what others have left, None if there is none. Raises
    UsageError; then nothing of the command has run.
    """
    masks: tuple[str, ...] = ()
    if grant.rules.protected is Protection.MASK and grant.tier is SandboxTier.STRICT:
        masks = watched[0].lacking(MASKED)
    with notes.gate():
        unseen = notes.sweep([folder.path for folder in watched])
        for each in unseen:
            _say_unseen(each, watched)
        folders = [_noted(each, () if number else masks) for number, each in enumerate(watched)]
        now_us = time.time_ns() // 1000
        notes.begin(RunNote(sandbox=grant.id, folders=tuple(folders), began_us=now_us))
        after.callback(lambda: notes.end(is_seen=not any(each.is_owed for each in watched)))
        watched[0].put_masks(masks)
    begins = (*(each.began_us for each in unseen), *(each.started_us for each in grant.neighbours))
    return min(begins, default=None)


def _say_unseen(note: RunNote, watched: Sequence[WatchedFolder]) -> None:
    """Tell of a run that nobody has looked after, and what would run later and is as new as it."""
    for folder in watched:
        changed = folder.changed_since(note.began_us * 1000)
        what = ", ".join(changed[:_NAMED_MOST]) + (" …" if len(changed) > _NAMED_MOST else "")
        found = f"; changed since it began: {what}" if what else ""
        _say(f"nobody has looked at {folder.path} after {note.sandbox} was ended{found}")


def _say_unheld(rules: SandboxRules, lacking: Sequence[str]) -> None:
    """Tell which bounds that somebody has asked for do not hold here; `doctor` tells of others."""
    asked = {
        "memory_megabytes": rules.memory_bytes is not None and MEMORY in lacking,
        "processor_percent": rules.processor_percent is not None and CPU in lacking,
    }
    if any(asked.values()):
        names = " and ".join(f"`{name}`" for name, is_unheld in asked.items() if is_unheld)
        what = "do not hold" if all(asked.values()) else "does not hold"
        _say(f"{names} of this agent {what} here, for want of a control group: {mend(lacking)}")


def _noted(folder: WatchedFolder, masks: tuple[str, ...]) -> NotedFolder:
    device, inode = folder.identity
    return NotedFolder(path=folder.path, device=device, inode=inode, masks=masks)


def _on_loopback(grant: SandboxGrant) -> Listeners:
    """What the plane serves where a sandbox has no network of its own.

    Without a sandbox there is no proxy: others of this machine could reach it.
    """
    kinds = {
        SandboxTier.STRICT: (),
        SandboxTier.REDUCED: (ListenerKind.GATEWAY, ListenerKind.PROXY),
        SandboxTier.NONE: (ListenerKind.GATEWAY,),
    }[grant.tier]
    return [(kind, socket.create_server((_LOOPBACK, 0))) for kind in kinds]


def _prepare(plan: SandboxPlan, kept: Sequence[str]) -> Prepared:
    match plan.tier:
        case SandboxTier.STRICT:
            return strict.prepare(plan, kept=kept)
        case SandboxTier.REDUCED:
            return reduced.prepare(plan, kept=kept)
        case SandboxTier.NONE:
            return unconfined.prepare(plan, kept=kept)


async def _watch(
    prepared: Prepared,
    plan: SandboxPlan,
    grant: SandboxGrant,
    listeners: Listeners,
    evidence: Watching,
) -> Result:
    monitor = Monitor(prepared, listeners, plan.limits.seconds)
    join = Join(
        version="",
        ticket=grant.ticket,
        tier=grant.tier,
        pid=os.getpid(),
        plan=assembly.digest(plan),
        binds=assembly.binds(plan),
        kinds=(),
        neighbours=tuple(each.sandbox for each in grant.neighbours),
        bounds=prepared.bounds,
        groups=prepared.groups,
    )
    parts = partial(_parts, prepared, plan, grant, evidence)
    return await monitor.run(grant.socket, join, parts)


def _parts(
    prepared: Prepared,
    plan: SandboxPlan,
    grant: SandboxGrant,
    evidence: Watching,
    link: PlaneLink,
) -> Sequence[Part]:
    """What goes on beside the command: its questions, its terminal, and who looks at its work.

    In the order of their ends: what was printed last is seen before it is told.
    """
    parts: list[Part] = []
    link.on_command = _waits
    seen: Callable[[bytes], None] = _unseen
    report = None
    if evidence.folders:
        mark = grant.id[-_MARK_CHARACTERS:]
        report = RunReport(
            evidence.folders,
            mark,
            link,
            _say,
            builtins=evidence.builtins,
            shared_since_us=evidence.shared_since_us,
        )
        seen = report.seen
    if prepared.terminal is not None:
        parts.append(TerminalRelay(prepared.terminal, seen=seen))
    if prepared.notify_fd is not None:
        reachable = [each for each in (plan.proxy, plan.gateway) if each is not None]
        launcher = prepared.pid if prepared.is_launched_by_bwrap else 0
        limits.room_for(plan.limits.processes)
        calls = Notifications(
            prepared.notify_fd, launcher=launcher, reachable=reachable, writable=prepared.writable
        )
        questions = CommandQuestions(calls, link)
        link.on_command = partial(_beside, questions)
        parts.append(questions)
    return parts if report is None else [*parts, report]


def _unseen(_data: bytes) -> None:
    """Nobody looks where nothing is confined."""


def _say(message: str) -> None:
    """Tell the person at the terminal, which may be in the middle of a line.

    In one line of what can be seen: an agent names its files, and might speak in our name by them.
    """
    line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in message)
    sys.stderr.write(f"ringfence: {line}\r\n" if sys.stderr.isatty() else f"ringfence: {line}\n")
    sys.stderr.flush()


def _beside(questions: CommandQuestions, said: ExecWaits | Kill) -> None:
    """Tell the person at the terminal that somebody is being asked; end what must end."""
    if isinstance(said, Kill):
        questions.beside(said)
    else:
        _waits(said)


def _waits(said: ExecWaits | Kill) -> None:
    """Tell that somebody is being asked; without questions nothing is to be ended."""
    if isinstance(said, ExecWaits):
        _say(f"{said.message} ({said.approval})")
