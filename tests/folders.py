"""Folders of tests: pytest makes them for one user alone."""

import tempfile
from pathlib import Path


def let_in(folder: Path) -> None:
    """Let every user pass to a folder, however deep below the system's temporary one it lies."""
    top = Path(tempfile.gettempdir()).resolve()
    for each in (folder, *folder.parents):
        if top in each.resolve().parents:
            each.chmod(0o755)
