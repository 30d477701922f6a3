"""The home of a command where it sees the host's files: a folder that is this run's alone."""

import os

from ringfence.sandbox.plan import SandboxPlan


def make(plan: SandboxPlan) -> None:
    """The folder, what is temporary in it, and the plan's own files. Raises OSError."""
    os.makedirs(temporary(plan), mode=0o700, exist_ok=True)  # noqa: PTH103 (paths are text here)
    for made in plan.files:
        os.makedirs(os.path.dirname(made.path), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120 (as above)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        mode = 0o600 if made.is_writable else 0o400
        with os.fdopen(os.open(made.path, flags, mode), "wb") as file:
            file.write(made.content)


def temporary(plan: SandboxPlan) -> str:
    """Where programs put what is temporary: /tmp is the host's."""
    return f"{plan.home}/tmp"  # noqa: S108 (below its own home)
