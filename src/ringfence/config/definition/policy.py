"""The folder of policy files."""

import re
from pathlib import Path

from ringfence.config.problem import shown
from ringfence.config.section import Section

_PATH = re.compile(r"[^\x00-\x1f\x7f]{1,1024}")


def read_policies(root: Section, folder: Path) -> str | None:
    """Read `policies`: a folder, relative to the file that names it.

    Policy files are not enforced yet, so that one that is there is a problem: ignoring a rule that
    somebody wrote would be worse than refusing to start.
    """
    item = root.item("policies")
    if item is None or not (path := root.text("policies", pattern=_PATH)):
        return None
    try:
        what, help_ = _judge(folder / path, shown(item.written))
    except OSError:
        what, help_ = f"policies folder {shown(item.written)} cannot be read", ""
    if what:
        root.problem(item.place, what, help_)
    root.not_enforced("policies")
    return path


def _judge(folder: Path, name: str) -> tuple[str, str]:
    if not folder.is_dir():
        return f"no policies folder {name}", "make it, or remove the key"
    if next(folder.rglob("*.cedar"), None):
        return (
            f"policies folder {name} holds policy files",
            "policy files are not enforced yet by this version; remove them or the key",
        )
    return "", ""
