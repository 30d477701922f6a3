"""Run programs in a sandbox from a test: as root and as an ordinary user, recording what is asked.

Everything happens in a forked child, so that the test's own process keeps its user, its filters and
its children.
"""

import errno
import io
import json
import os
import select
import shutil
import signal
import socket
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ringfence.domain.agent import SandboxTier
from ringfence.domain.error import RingfenceError
from ringfence.domain.sandbox import ListenerKind
from ringfence.sandbox import preflight, reduced, strict, unconfined
from ringfence.sandbox.followed import Exited
from ringfence.sandbox.notification import ConnectAsked, ExecAsked, Notifications
from ringfence.sandbox.plan import SandboxPlan
from ringfence.sandbox.prepared import Prepared
from ringfence.sandbox.refused_call import RefusedCall

ORDINARY = 65534
USERS = ("root", "ordinary") if os.geteuid() == 0 else ("ordinary",)
"""Who starts the sandbox; an ordinary user cannot be root for a test."""
DEMANDED = "RINGFENCE_TEST_SANDBOX"
PYTHON = "/usr/bin/python3"
_LIFE_S = 60.0
PREPARE = {
    SandboxTier.STRICT: strict.prepare,
    SandboxTier.REDUCED: reduced.prepare,
    SandboxTier.NONE: unconfined.prepare,
}


def missing(tier: SandboxTier) -> str:
    """Why a tier cannot be tested here; empty if it can."""
    if sys.platform != "linux":
        return "sandboxes are made on Linux alone"
    failed = [step for step in preflight.examine(tier) if not step.is_ok]
    return f"{failed[0].name}: {failed[0].found}" if failed else ""


@dataclass(kw_only=True)
class Outcome:
    """What came of one run."""

    exit_code: int | None = None
    signal: int | None = None
    out: str = ""
    err: str = ""
    execs: list[dict[str, Any]] = field(default_factory=list)
    connects: list[dict[str, Any]] = field(default_factory=list)
    refused_calls: list[dict[str, Any]] = field(default_factory=list)
    exits: list[dict[str, Any]] = field(default_factory=list)
    arrived: list[list[Any]] = field(default_factory=list)
    """What reached a listener: its kind, the address it was meant for, the first bytes."""
    error: str = ""
    message: str = ""
    help: str = ""
    value: Any = None
    wall_s: float = 0.0


@contextmanager
def place(who: str = "ordinary") -> Iterator[Path]:
    """A folder that the user of the sandbox owns and that no other test uses."""
    made = Path(tempfile.mkdtemp(prefix="rf-jail-", dir="/var/tmp")).resolve()
    if os.geteuid() == 0 and who == "ordinary":
        os.chown(made, ORDINARY, ORDINARY)
    for name in ("workspace", "home", "outside"):
        (made / name).mkdir()
    give(made, who)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def give(path: Path, who: str) -> None:
    if os.geteuid() == 0 and who == "ordinary":
        for each in (path, *path.rglob("*")):
            if not each.is_symlink():
                os.chown(each, ORDINARY, ORDINARY)


def plan_of(tier: SandboxTier, root: Path, command: Sequence[str], **more: Any) -> SandboxPlan:
    """A plan with nothing special: a workspace and, in reduced, a home of the host."""
    home = "/home/agent" if tier is SandboxTier.STRICT else str(root / "home")
    environment = {"PATH": "/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8"}
    given: dict[str, Any] = {
        "tier": tier,
        "command": tuple(command),
        "workspace": str(root / "workspace"),
        "home": home,
        "environment": environment | more.pop("environment", {}),
    }
    return SandboxPlan(**(given | more))


Watch = Callable[[Prepared, Notifications, ExecAsked], bool]


def run(
    plan: SandboxPlan,
    *,
    who: str = "ordinary",
    root: Path | None = None,
    refuse: Sequence[str] = (),
    kept: Sequence[str] = (),
) -> Outcome:
    """Run it to its end; execs whose resolved base name is in `refuse` are refused."""
    if root is not None:
        give(root, who)
    return as_user(who, lambda: run_here(plan, refuse, kept))


def as_user(who: str, do: Callable[[], Outcome]) -> Outcome:
    """Do something in a child, as that user; what it found."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        code = 1
        signal.alarm(40)
        try:
            if who == "ordinary" and os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(ORDINARY, ORDINARY, ORDINARY)
                os.setresuid(ORDINARY, ORDINARY, ORDINARY)
            with os.fdopen(writing, "w") as channel:
                channel.write(json.dumps(vars(_guarded(do))))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as channel:
        said = channel.read()
    os.waitpid(pid, 0)
    return Outcome(**json.loads(said))


def _guarded(do: Callable[[], Outcome]) -> Outcome:
    try:
        return do()
    except RingfenceError as error:
        return Outcome(error=error.code, message=error.message, help=error.help)
    except Exception as error:  # noqa: BLE001 (told to the test, which fails of it)
        return Outcome(error=type(error).__name__, message=traceback.format_exc())


def run_here(
    plan: SandboxPlan,
    refuse: Sequence[str] = (),
    kept: Sequence[str] = (),
) -> Outcome:
    out, err = io.FileIO(os.memfd_create("out"), "r+"), io.FileIO(os.memfd_create("err"), "r+")
    silent = os.open(os.devnull, os.O_RDONLY)
    start = time.monotonic()
    prepared = PREPARE[plan.tier](plan, stdio=(silent, out.fileno(), err.fileno()), kept=kept)
    outcome = Outcome()
    served = {each.fileno(): (kind, each) for kind, each in prepared.listeners}
    notifications = watch(prepared, plan)
    prepared.go()
    _follow(prepared, notifications, served, outcome, refuse)
    ended = prepared.wait()
    outcome.wall_s = time.monotonic() - start
    outcome.exits += [_words(each) for each in notifications.finish()] if notifications else []
    outcome.exit_code, outcome.signal = ended.exit_code, ended.signal
    outcome.value = {
        "user_s": ended.user_s,
        "system_s": ended.system_s,
        "killed_for_memory": ended.reached.killed_for_memory,
        "processes_refused": ended.reached.processes_refused,
    }
    for name, file in (("out", out), ("err", err)):
        file.seek(0)
        setattr(outcome, name, file.read().decode("utf-8", "replace"))
    return outcome


def prepare(plan: SandboxPlan) -> Prepared:
    """The sandbox of a plan, silent."""
    null = os.open(os.devnull, os.O_RDWR)
    return PREPARE[plan.tier](plan, stdio=(null, null, null))


def watch(prepared: Prepared, plan: SandboxPlan) -> Notifications | None:
    """What the monitor does first: take the notify descriptor."""
    if prepared.notify_fd is None:
        return None
    return Notifications(
        prepared.notify_fd,
        launcher=prepared.pid if prepared.is_launched_by_bwrap else 0,
        reachable=[each for each in (plan.proxy, plan.gateway) if each],
        writable=prepared.writable,
    )


def _follow(
    prepared: Prepared,
    notifications: Notifications | None,
    served: dict[int, tuple[ListenerKind, socket.socket]],
    outcome: Outcome,
    refuse: Sequence[str] = (),
) -> None:
    """Answer and serve until the command has ended."""
    poll = select.poll()
    poll.register(prepared.pidfd, select.POLLIN)
    for descriptor in (*served, *([notifications.fileno()] if notifications else [])):
        poll.register(descriptor, select.POLLIN)
    ends = time.monotonic() + _LIFE_S
    while True:
        ready = {descriptor for descriptor, _ in poll.poll(100)}
        for descriptor in ready & served.keys():
            outcome.arrived.append(_serve(*served[descriptor]))
        if notifications:
            answer(notifications, outcome, refuse)
        if prepared.pidfd in ready and len(ready) == 1:
            return
        if time.monotonic() > ends:
            prepared.kill()


def answer(notifications: Notifications, outcome: Outcome, refuse: Sequence[str] = ()) -> None:
    """Answer what waits: everything is allowed but what is named."""
    for event in notifications.read():
        match event:
            case ExecAsked():
                outcome.execs.append(_words(event))
                if os.path.basename(event.resolved) in refuse:
                    notifications.refuse(event.id)
                else:
                    notifications.allow(event.id)
            case ConnectAsked():
                outcome.connects.append(_words(event) | {"from": notifications.connect(event)})
            case Exited():
                outcome.exits.append(_words(event))
            case RefusedCall():
                outcome.refused_calls.append(_words(event))


def _words(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def _serve(kind: ListenerKind, listener: socket.socket) -> list[Any]:
    """Take what came and answer with a refusal, as the egress door would."""
    if kind is ListenerKind.DNS_UDP:
        data, beside, _, sender = listener.recvmsg(4096, 256)
        return [kind, str(sender[0]), data.hex(), len(beside)]
    try:
        connection, _ = listener.accept()
    except OSError as error:
        return [kind, errno.errorcode[error.errno or 0], "", 0]
    with connection:
        connection.settimeout(30)
        wanted = str(connection.getsockname()[0])
        try:
            data = connection.recv(4096)
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")
        except OSError:
            data = b""
    return [kind, wanted, data.decode("latin-1"), 0]


def is_tree_gone(root: Path) -> bool:
    """Whether no process has its working directory below a folder any more."""
    for each in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if str(each.readlink()).startswith(str(root)):
                return False
        except OSError:
            continue
    return True


def make_program(path: Path, text: str) -> None:
    """Write a program that can be run."""
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
