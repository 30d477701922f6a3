"""What an agent leaves in a workspace, and what becomes of it."""

import time
from collections.abc import Callable
from pathlib import Path

from tests.sandbox.workspace.held import held

from ringfence.sandbox.workspace.late_code import find, keep
from ringfence.sandbox.workspace.quarantine import SetAside, set_aside
from ringfence.sandbox.workspace.tree import Bounds, look

MARK = "sbx_1"


def after(
    work: Path, happens: Callable[[], object], bounds: Bounds | None = None
) -> list[SetAside]:
    """What is set aside after something has happened in a workspace.

    `bounds` are those of the look before it.
    """
    with held(work) as root:
        before = keep(root, look(root, bounds), time.time_ns())
        happens()
        return set_aside(root, find(root, before, look(root)), before, MARK)


def write(path: Path, text: str = "evil", mode: int = 0o755) -> None:
    """A file with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
