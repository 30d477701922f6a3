"""Whether this machine can confine, found out by doing it: every step, in a child."""

import os
import tempfile
import time
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from ringfence.domain.agent import SandboxTier
from ringfence.domain.error import UsageError
from ringfence.sandbox import bwrap, control_group, group_trouble, reduced, strict
from ringfence.sandbox.launch import Failure
from ringfence.sandbox.notification import ConnectAsked, ExecAsked, Notifications
from ringfence.sandbox.plan import SandboxLimits, SandboxPlan
from ringfence.sandbox.prepared import Prepared
from ringfence.sandbox.trouble import StepName, mend, what
from ringfence.transport.kernel import landlock
from ringfence.transport.kernel.control_group import ALWAYS
from ringfence.transport.kernel.syscall import architecture

_FIXED: Final = (0, 12, 0)
"""CVE-2026-87766 is mended in this bwrap; before it, what we mount stands against it alone."""
_SCOPED_ABI: Final = 6
_BOUNDS: Final = "bounds"
_START_S: Final = 20.0
_SAID_BYTES: Final = 500
_STRICT: Final = (
    StepName.SYSTEM,
    StepName.BWRAP,
    StepName.NAMESPACES,
    StepName.IDENTITY,
    StepName.NETWORK,
    StepName.LISTENERS,
    StepName.MOUNTS,
    StepName.LANDLOCK,
    StepName.FILTER,
    StepName.LOOKING,
    StepName.START,
)
_REDUCED: Final = (
    StepName.SYSTEM,
    StepName.LANDLOCK,
    StepName.FILTER,
    StepName.LOOKING,
    StepName.START,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that a tier needs: whether it is so, what was found, and how to mend it."""

    name: str
    is_ok: bool
    found: str
    mend: str = ""


def examine(tier: SandboxTier) -> tuple[Step, ...]:
    """Try every step of a tier; what comes after the first that fails was not tried."""
    if tier is SandboxTier.NONE:
        return ()
    wanted = _STRICT if tier is SandboxTier.STRICT else _REDUCED
    try:
        steps = [Step(name=StepName.SYSTEM, is_ok=True, found=_system())]
        if tier is SandboxTier.STRICT:
            steps.append(_bwrap())
    except UsageError as error:
        name = StepName.BWRAP if "bwrap" in error.code else StepName.SYSTEM
        return (Step(name=name, is_ok=False, found=error.message, mend=error.help),)
    tried = _try(tier)
    left = [name for name in wanted if name not in {step.name for step in steps}]
    for name in left:
        if isinstance(tried, Failure) and name is tried.step:
            steps.append(_failed(tried))
            break
        steps.append(Step(name=name, is_ok=True, found=_found(name)))
    return tuple(steps)


def bounds() -> Step:
    """Bound a process that does nothing, and say what bounds it.

    `is_ok` if a control group bounds what every sandbox is bounded by; processor time is tried too.
    What sandboxes before left behind is ended on the way.
    """
    whole = SandboxLimits(processor_percent=100 * (os.cpu_count() or 1))
    with control_group.made(whole) as group:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
        os.close(reading)
        try:
            group.take(pid)
            found = ", ".join(group.bounds())
            lacking = [each for each in group.lacking if each in ALWAYS]
        finally:
            os.close(writing)
            os.waitpid(pid, 0)
    mend = group_trouble.mend(lacking) if lacking else ""
    return Step(name=_BOUNDS, is_ok=not lacking, found=found, mend=mend)


def _failed(tried: Failure) -> Step:
    reason = os.strerror(tried.code).lower() if tried.code else ""
    why = ": ".join(each for each in (reason, tried.place) if each) or "it did not"
    return Step(
        name=tried.step,
        is_ok=False,
        found=f"not so: {what(tried.step)} ({why})",
        mend=mend(tried.step, tried.code, tried.place),
    )


def _system() -> str:
    return f"Linux {os.uname().release} on {architecture().name}"


def _found(name: StepName) -> str:
    if name is not StepName.LANDLOCK:
        return what(name)
    version = landlock.abi()
    if not version:
        return "Landlock is not here: a layer less, and namespaces hold by themselves"
    short = "" if version >= _SCOPED_ABI else ", which leaves signals to the user's other processes"
    return f"{what(name)} (version {version}{short})"


def _bwrap() -> Step:
    found = bwrap.find()
    version = bwrap.ask_version(found.path)
    told = ".".join(map(str, version)) or "of a version that it does not tell"
    older = (
        "" if version >= _FIXED else "; older than the mend of CVE-2026-87766, which we work around"
    )
    return Step(name=StepName.BWRAP, is_ok=True, found=f"{found.path}, bubblewrap {told}{older}")


def _try(tier: SandboxTier) -> Failure | None:
    """Build the least sandbox of a tier and run `true` in it."""
    with tempfile.TemporaryDirectory(prefix="ringfence-") as folder:
        place = Path(folder).resolve()
        workspace, home = place / "workspace", place / "home"
        workspace.mkdir()
        (home / "tmp").mkdir(parents=True)
        is_strict = tier is SandboxTier.STRICT
        plan = SandboxPlan(
            tier=tier,
            command=("true",),
            environment={"PATH": "/usr/bin:/bin"},
            workspace=str(workspace),
            home="/home/agent" if is_strict else str(home),
        )
        silent = os.open(os.devnull, os.O_RDWR)
        with (place / "said").open("w+b", buffering=0) as said:
            stdio = (silent, silent, said.fileno())
            try:
                if is_strict:
                    found = strict.build(plan, bwrap.find().path, stdio)
                else:
                    found = reduced.build(plan, stdio)
                return found if isinstance(found, Failure) else _run(found, said)
            finally:
                os.close(silent)


def _run(prepared: Prepared, said: FileIO) -> Failure | None:
    """Let it run, allowing everything, and see whether it comes to its end."""
    for _, each in prepared.listeners:
        each.close()
    notifications = Notifications(prepared.notify_fd or -1)
    prepared.go()
    ends = time.monotonic() + _START_S
    while not notifications.is_over and time.monotonic() < ends:
        for event in notifications.read(0.1):
            if isinstance(event, ExecAsked | ConnectAsked):
                notifications.allow(event.id)
    prepared.kill()
    ended = prepared.wait()
    notifications.close()
    if ended.exit_code == 0:
        return None
    said.seek(0)
    reason = said.read(_SAID_BYTES).decode("utf-8", "replace").strip().replace("\n", "; ")
    return Failure(step=StepName.START, code=0, place=reason, taken=())
