"""The reduced tier, for machines that forbid namespaces: Landlock, filters, and our connecting.

It has no network of its own: the monitor carries out the agent's connects, and only to the plane's
two listeners. It shares the host's processes and names of files; docs/sandbox.md says what it does
not stop.
"""

import errno
import os
from collections.abc import Sequence
from typing import Final, NoReturn

from ringfence.domain.error import UsageError
from ringfence.sandbox import bwrap, filter, home, limits, mount_guard, system_settings  # noqa: A004 (the noun of that module)
from ringfence.sandbox.command import check_command, find
from ringfence.sandbox.control_group import made
from ringfence.sandbox.launch import (
    Confined,
    Failure,
    Progress,
    Stdio,
    launch,
)
from ringfence.sandbox.plan import SandboxPlan, check, check_words, is_below
from ringfence.sandbox.prepared import Prepared, or_refuse
from ringfence.sandbox.trouble import StepName
from ringfence.transport.kernel import bpf, landlock, namespace, seccomp
from ringfence.transport.kernel.descriptor import close_all_but
from ringfence.transport.kernel.landlock import DEVICE, READ, RUN, WRITE, Grant
from ringfence.transport.kernel.syscall import architecture

_STANDARD: Final = (0, 1, 2)
LEAST_ABI: Final = 3
"""Below it, files outside could be emptied (Linux 6.2 has TRUNCATE)."""
_LEAST_ABI_OF_ROOT: Final = 6
"""Below it, an agent that root started could end any process of the machine."""
_DEVICES: Final = ("null", "zero", "full", "random", "urandom", "tty")
_NAMES: Final = ("/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf")
"""Programs ask who they are; strict makes these files, here they are the host's."""


def prepare(plan: SandboxPlan, *, stdio: Stdio = _STANDARD, kept: Sequence[str] = ()) -> Prepared:
    """Build the sandbox; its command waits for `go`. `kept` are the plane's own folders and files.

    Raises UsageError `no_sandbox_here`, `bad_sandbox_plan`, `bad_workspace`, `no_command`,
    `no_control_group`, `no_sandbox`; UnavailableError `sandbox_slow`.
    """
    architecture()
    check_words(plan)
    _check_reduced(plan)
    mount_guard.check_places(plan, kept=kept)
    check(plan)
    check_command(plan)
    home.make(plan)
    return or_refuse(build(plan, stdio))


def build(plan: SandboxPlan, stdio: Stdio) -> Prepared | Failure:
    """Build it without the checks of `prepare`: what `ringfence doctor` tries."""
    with made(plan.limits) as group:
        found = launch(
            lambda progress: _confine(plan, progress, is_counted=group.is_counted),
            stdio=stdio,
            is_interactive=plan.is_interactive,
            group=group,
        )
        if isinstance(found, Failure):
            return found
        return Prepared(
            found, proxy=plan.proxy, gateway=plan.gateway, writable=writable(plan), group=group
        )


def _check_reduced(plan: SandboxPlan) -> None:
    """Refuse what only strict can do, rather than do less than was asked."""
    moved = [bind for bind in (*plan.read_only, *plan.read_write) if bind.seen != bind.source]
    outside = [made.path for made in plan.files if not is_below(made.path, plan.home)]
    if moved:
        raise _bad(f"`{moved[0].source}` cannot be shown at `{moved[0].seen}`")
    if outside:
        raise _bad(f"`{outside[0]}` cannot be made for the agent alone")
    if plan.hidden:
        raise _bad(f"`{plan.hidden[0]}` cannot be hidden in the workspace")


def _bad(what: str) -> UsageError:
    help_ = "only `sandbox: strict` gives an agent a view of files of its own"
    return UsageError("bad_sandbox_plan", f"{what} in the reduced tier", help=help_)


def grants(plan: SandboxPlan) -> list[Grant]:
    """What of the host's files is left to the agent, but for the folders that it may change."""
    given = [Grant(path, RUN) for path in ("/usr", *bwrap.ROOTS)]
    given += [Grant(path, READ) for path in (*system_settings.shown(), *_NAMES, "/proc")]
    given += [Grant(f"/dev/{name}", DEVICE) for name in _DEVICES]
    given += [Grant(bind.source, RUN) for bind in plan.read_only]
    return [*given, Grant(plan.home, WRITE)]


def writable(plan: SandboxPlan) -> tuple[str, ...]:
    """Where the agent may change what is said of files, too."""
    return (plan.home, *(bind.source for bind in plan.writable))


def _confine(plan: SandboxPlan, progress: Progress, *, is_counted: bool) -> Confined:
    uid = os.geteuid()
    if uid == 0:
        os.setgroups([])
    before = limits.processes_of(uid)
    limits.apply(plan.limits, processes_before=before, is_counted=is_counted)
    os.chdir(plan.start)
    with progress.at(StepName.LANDLOCK):
        seccomp.no_new_privileges()
        namespace.drop_capabilities()
        if landlock.abi() < (LEAST_ABI if uid else _LEAST_ABI_OF_ROOT):
            raise OSError(errno.EOPNOTSUPP, "Landlock is too old")
        held = [mount_guard.open_known(plan, bind.source) for bind in plan.writable]
        landlock.restrict([*grants(plan), *(Grant(f"/proc/self/fd/{n}", WRITE) for n in held)])
    with progress.at(StepName.FILTER):
        known = architecture()
        handing_over = bpf.assemble(known, filter.notifying(is_reduced=True))
        notify = seccomp.install_notifying(handing_over)
        seccomp.install(bpf.assemble(known, filter.denying(is_reduced=True)))
    path = find(plan) or plan.command[0]
    # Git gives up where its system's settings are there and cannot be read.
    own = {"TMPDIR": home.temporary(plan), "GIT_CONFIG_NOSYSTEM": "1"}
    environment = {**own, **plan.environment}

    def go_on() -> NoReturn:
        close_all_but({0, 1, 2})
        os.execve(path, plan.command, environment)  # noqa: S606 (what this is for)

    return Confined(descriptors=[notify], names=[], go_on=go_on)
