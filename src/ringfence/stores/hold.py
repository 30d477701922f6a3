"""Legal holds: what must not be deleted while somebody says so."""

import fcntl
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, Protocol, final

import msgspec

from ringfence.domain.error import UsageError
from ringfence.stores.checkpoint.place import replace
from ringfence.stores.database import damaged, make_folder, translated

FOLDER: Final = "holds"
_SUBJECT: Final = re.compile(r"organisation|(agent|invocation):\S{1,200}")


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing of `subject` (`organisation`, `agent:<id>`, `invocation:<id>`) may be deleted."""

    subject: str
    reason: str
    actor: str
    time_us: str


TreeOf = Callable[[str], Mapping[str, str | None]]
"""The invocations of the whole tree that one belongs to, each with what it was opened by."""


class Holds(Protocol):
    """The holds of one organisation, for all who may delete something of it.

    All methods raise UsageError `store_damaged`, UnavailableError `store_unavailable`.
    """

    def all(self) -> list[Hold]:
        """Those that stand."""

    def place(self, hold: Hold) -> None:
        """Begin to hold. Raises UsageError `hold_malformed` or `hold_stands`."""

    def release(self, subject: str) -> Hold:
        """End a hold. Raises UsageError `no_such_hold`."""

    def still(self) -> AbstractContextManager[None]:
        """While it lasts no hold is placed or released: whoever deletes looks and deletes in it."""


@final
class FileHolds:
    """Implements `Holds` in a file that is replaced whole."""

    def __init__(self, folder: Path, organisation: str) -> None:
        """Take the data folder and an organisation's id."""
        self._path = folder / FOLDER / f"{organisation}.json"

    def all(self) -> list[Hold]:
        """Those that stand. Raises UsageError `store_damaged`, UnavailableError."""
        with translated(self._path, "list of holds"):
            try:
                return msgspec.json.decode(self._path.read_bytes(), type=list[Hold])
            except FileNotFoundError:
                return []
            except msgspec.MsgspecError as error:
                raise damaged(self._path, "list of holds", str(error)) from error

    def place(self, hold: Hold) -> None:
        """Begin to hold. Raises UsageError `hold_malformed` or `hold_stands`, and as `all`."""
        require_subject(hold.subject)
        with self.still():
            held = self.all()
            if any(one.subject == hold.subject for one in held):
                raise stands(hold.subject)
            self._write([*held, hold])

    def release(self, subject: str) -> Hold:
        """End a hold. Raises UsageError `no_such_hold`, and as `all`."""
        with self.still():
            held = self.all()
            for one in held:
                if one.subject == subject:
                    self._write([other for other in held if other is not one])
                    return one
        raise unheld(subject)

    @contextmanager
    def still(self) -> Iterator[None]:
        """One change after another: of two at once, one would be lost."""
        with translated(self._path, "list of holds"):
            make_folder(self._path.parent)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self._path.with_suffix(".lock"), flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write(self, held: list[Hold]) -> None:
        with translated(self._path, "list of holds"):
            replace(self._path, msgspec.json.encode(held))


def require_subject(subject: str) -> None:
    """Raise UsageError `hold_malformed` for what cannot be held."""
    if not _SUBJECT.fullmatch(subject):
        raise UsageError(
            "hold_malformed",
            f"`{subject}` cannot be held",
            help="organisation, agent:NAME or invocation:ID",
        )


def stands(subject: str) -> UsageError:
    """The error of one who holds what is held."""
    return UsageError("hold_stands", f"`{subject}` is held already")


def unheld(subject: str) -> UsageError:
    """The error of one who releases what is not held."""
    return UsageError("no_such_hold", f"nothing holds `{subject}`")


def widened(holds: list[Hold], tree_of: TreeOf) -> list[Hold]:
    """The holds, and one for every invocation below a held one: those hold what was done for it."""
    found = list(holds)
    for hold in holds:
        kind, _, identifier = hold.subject.partition(":")
        if kind == "invocation":
            below = _below(identifier, tree_of(identifier))
            found += [msgspec.structs.replace(hold, subject=f"invocation:{each}") for each in below]
    return found


def _below(invocation: str, parents: Mapping[str, str | None]) -> list[str]:
    children: dict[str, list[str]] = {}
    for each, parent in parents.items():
        children.setdefault(parent or "", []).append(each)
    found: list[str] = []
    seen = {invocation}
    next_ = [invocation]
    while next_:
        for child in children.get(next_.pop(), ()):
            if child not in seen:
                seen.add(child)
                found.append(child)
                next_.append(child)
    return found


def is_held(holds: list[Hold], *, agent: str, invocation: str, root: str) -> bool:
    """Whether one of the holds, widened, is about an event: its agent, its invocation, its tree."""
    subjects = {"organisation", f"agent:{agent}", f"invocation:{invocation}", f"invocation:{root}"}
    return any(one.subject in subjects for one in holds)
