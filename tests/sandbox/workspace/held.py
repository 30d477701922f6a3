"""Folders held open, as what looks at them has them; and users for whom modes hold."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.folders import let_in

ORDINARY = 65534
T = TypeVar("T")


@contextmanager
def held(folder: Path) -> Iterator[int]:
    """A folder, open for as long as it is used."""
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield root
    finally:
        os.close(root)


def as_ordinary(does: Callable[[], T], folder: Path, *, given: str = "work") -> T:
    """What comes of it for a user whom modes hold back: root's hold nobody back.

    `given` is the folder below that this user is to own.
    """
    if os.geteuid():
        return does()
    let_in(folder)
    for each in (folder / given, *(folder / given).rglob("*")):
        os.lchown(each, ORDINARY, ORDINARY)
    os.seteuid(ORDINARY)
    try:
        return does()
    finally:
        os.seteuid(0)
