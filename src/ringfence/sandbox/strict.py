"""The strict tier: namespaces, an own view of files, no network but our listeners.

Order matters: the network namespace and its listeners first, then the stage of mounts, then the
filter that hands execs over, and only then, when somebody says `go`, bwrap and the command.
"""

import os
import socket
from collections.abc import Sequence
from typing import Final, NoReturn

from ringfence.domain.sandbox import ListenerKind
from ringfence.sandbox import bwrap, filter, limits, listener, mount_guard, stream_guard  # noqa: A004 (the noun of that module)
from ringfence.sandbox.command import check_command
from ringfence.sandbox.control_group import SandboxGroup, made
from ringfence.sandbox.launch import (
    Confined,
    Failure,
    Launched,
    Progress,
    Stdio,
    launch,
)
from ringfence.sandbox.plan import SandboxPlan, check, check_words
from ringfence.sandbox.prepared import Prepared, or_refuse
from ringfence.sandbox.trouble import StepName
from ringfence.transport.kernel import bpf, landlock, namespace, netlink, seccomp
from ringfence.transport.kernel.descriptor import close_all_but
from ringfence.transport.kernel.syscall import architecture

_STANDARD: Final = (0, 1, 2)
_OF_ROOT: Final = 1000
"""Who root is inside: an agent that thinks it is root only fails later."""
_LEAST: Final = {"LC_ALL": "C"}
"""bwrap's own environment, which its first process shows to the agent as /proc/1/environ."""


def prepare(plan: SandboxPlan, *, stdio: Stdio = _STANDARD, kept: Sequence[str] = ()) -> Prepared:
    """Build the sandbox; its command waits for `go`. `kept` are the plane's own folders and files.

    Raises UsageError `no_sandbox_here`, `bad_sandbox_plan`, `bad_workspace`, `no_bwrap`,
    `setuid_bwrap`, `old_bwrap`, `no_command`, `no_control_group`, `no_sandbox`; UnavailableError
    `sandbox_slow`.
    """
    architecture()
    check_words(plan)
    mount_guard.check_places(plan, kept=kept)
    check(plan)
    found = bwrap.find()
    check_command(plan)
    return or_refuse(build(plan, found.path, stdio))


def build(plan: SandboxPlan, path: str, stdio: Stdio) -> Prepared | Failure:
    """Build it without the checks of `prepare`: what `ringfence doctor` tries."""
    with made(plan.limits) as group:
        found = launch(
            lambda progress: _confine(plan, path, progress, is_counted=group.is_counted),
            stdio=stdio,
            is_interactive=plan.is_interactive,
            group=group,
        )
        return found if isinstance(found, Failure) else _prepared(found, group)


def _prepared(launched: Launched, group: SandboxGroup) -> Prepared:
    kinds = map(ListenerKind, launched.names)
    return Prepared(
        launched,
        listeners=[
            (kind, socket.socket(fileno=each))
            for kind, each in zip(kinds, launched.descriptors[1:], strict=True)
        ],
        proxy=listener.PROXY,
        gateway=listener.GATEWAY,
        group=group,
    )


def _confine(plan: SandboxPlan, path: str, progress: Progress, *, is_counted: bool) -> Confined:
    """Everything up to the filter, in the child."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    uid, gid = outer_uid or _OF_ROOT, outer_gid or _OF_ROOT
    if outer_uid == 0:
        os.setgroups([])
    with progress.at(StepName.NAMESPACES):
        namespace.unshare(namespace.USER | namespace.NETWORK | namespace.MOUNT)
    with progress.at(StepName.IDENTITY):
        namespace.map_ids(uid=uid, gid=gid, outer_uid=outer_uid, outer_gid=outer_gid)
    with progress.at(StepName.NETWORK):
        netlink.answer_for_every_address()
    with progress.at(StepName.LISTENERS):
        listeners = listener.make()
    with progress.at(StepName.MOUNTS):
        if not plan.is_interactive:
            stream_guard.guard()
        staged = mount_guard.stage(plan, uid=uid, gid=gid)
        devices = mount_guard.stage_devices() if outer_uid == 0 else []
    with progress.at(StepName.LANDLOCK):
        seccomp.no_new_privileges()
        landlock.restrict_signals()
    with progress.at(StepName.FILTER):
        limits.apply(plan.limits, is_counted=is_counted)
        data: list[int] = []

        def data_fd(content: bytes) -> int:
            data.append(_held(content))
            return data[-1]

        rules = filter.denying(is_reduced=False)
        words = bwrap.words(
            plan,
            staged,
            uid=uid,
            gid=gid,
            data_fd=data_fd,
        )
        for bind in devices:
            words += ["--dev-bind", bind.source, bind.seen]
        if outer_uid == 0:  # to the kernel it owns the files of /proc, whose modes are everybody's
            words += ["--remount-ro", "/proc"]
        words += ["--seccomp", str(data_fd(bpf.assemble(architecture(), rules)))]
        arguments = data_fd(os.fsencode("\0".join([*words, ""])))
        handing_over = bpf.assemble(architecture(), filter.notifying(is_reduced=False))
        notify = seccomp.install_notifying(handing_over)

    def go_on() -> NoReturn:
        close_all_but({0, 1, 2, *data})
        command = ["bwrap", "--args", str(arguments), "--", *plan.command]
        os.execve(path, command, _LEAST)  # noqa: S606 (what this is for)

    return Confined(
        descriptors=[notify, *(each.detach() for _, each in listeners)],
        names=[kind.value for kind, _ in listeners],
        go_on=go_on,
    )


def _held(content: bytes) -> int:
    """Bytes in memory that bwrap reads from a descriptor; inherited over exec."""
    descriptor = os.memfd_create("sandbox", 0)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
