"""No sandbox: the command runs as its caller; only its environment and descriptors are its own.

What goes through the gateways is governed as ever; nothing else is.
"""

import os
from collections.abc import Sequence
from typing import Final, NoReturn

from ringfence.domain.error import UsageError
from ringfence.sandbox import home
from ringfence.sandbox.command import check_command, find
from ringfence.sandbox.launch import Confined, Failure, Progress, Stdio, launch
from ringfence.sandbox.plan import SandboxPlan, check_words
from ringfence.sandbox.prepared import Prepared
from ringfence.sandbox.trouble import refusal
from ringfence.transport.kernel.descriptor import close_all_but

_STANDARD: Final = (0, 1, 2)


def prepare(plan: SandboxPlan, *, stdio: Stdio = _STANDARD, kept: Sequence[str] = ()) -> Prepared:
    """Ready the command; it waits for `go`. `kept` is not looked at: nothing is kept from it.

    Raises UsageError `bad_sandbox_plan`, `no_command`, `no_processes_here`.
    """
    del kept
    if not hasattr(os, "fork"):
        what = "this system cannot start a command under a monitor"
        help_ = "start it yourself with the gateways' addresses in its environment"
        raise UsageError("no_processes_here", what, help=help_)
    check_words(plan)
    check_command(plan)
    if plan.files:
        home.make(plan)
    launched = launch(
        lambda progress: _ready(plan, progress), stdio=stdio, is_interactive=plan.is_interactive
    )
    if isinstance(launched, Failure):
        raise refusal(launched.step, launched.code, launched.place)
    return Prepared(launched, proxy=plan.proxy, gateway=plan.gateway)


def _ready(plan: SandboxPlan, _progress: Progress) -> Confined:
    os.chdir(plan.start)
    path = find(plan) or plan.command[0]

    def go_on() -> NoReturn:
        close_all_but({0, 1, 2})
        os.execve(path, plan.command, dict(plan.environment))  # noqa: S606 (what this is for)

    return Confined(descriptors=[], names=[], go_on=go_on)
