"""Copy checkpoints off the machine, to a file on another mount or to a URL; nobody waits for it."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, final
from urllib.parse import urlsplit

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.stores.checkpoint.latest import installation_notes, latest_notes
from ringfence.transport.client import Pool
from ringfence.transport.http import Requester
from ringfence.transport.posting import DEFAULT_PORTS, Posting
from ringfence.transport.tls import client_context

_LOG = logging.getLogger(__name__)

_EVERY_S: Final = 2.0
_LONGEST_PAUSE_S: Final = 60.0
_LAST_S: Final = 3.0
"""How long the end of a plane waits for its witnesses."""


class Target(Protocol):
    """One place elsewhere."""

    name: str

    async def send(self, notes: Sequence[bytes]) -> None:
        """Keep these notes there. Raises RingfenceError."""


@final
class FileTarget:
    """A file that only grows; on another machine's mount, or one that cannot be rewritten."""

    def __init__(self, path: Path) -> None:
        """Made when there is something to write."""
        self.name = str(path)
        self._path = path

    async def send(self, notes: Sequence[bytes]) -> None:
        """Append and sync. Raises UnavailableError `witness_unavailable`."""
        await asyncio.to_thread(self._append, b"".join(notes))

    def _append(self, data: bytes) -> None:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unavailable(self.name, error.strerror or "unknown reason") from error


@final
class UrlTarget:
    """Takes each note as the body of a POST."""

    def __init__(self, url: str, client: Requester) -> None:
        """Take an `http` or `https` URL; the log names its host alone."""
        self._posting = Posting(client, url)
        self.name = self._posting.host

    async def send(self, notes: Sequence[bytes]) -> None:
        """Post one after another. Raises UnavailableError `witness_unavailable`."""
        for one in notes:
            why = await self._posting.send(one, b"text/plain; charset=utf-8")
            if why:
                raise _unavailable(self.name, why)


@final
class Witness:
    """Keeps one place up to date with what is newest; what was overtaken is not sent any more.

    `failure` tells why the place does not have the newest; it is tried again, ever more seldom.
    """

    def __init__(self, folder: Path, target: Target, *, every_s: float = _EVERY_S) -> None:
        """Nothing is sent before `run` or `finish`."""
        self.failure: RingfenceError | None = None
        self.name = target.name
        self._folder = folder
        self._target = target
        self._every_s = every_s
        self._sent: Mapping[str, bytes] = {}

    async def run(self) -> None:
        """Send what is new, now and then, until cancelled."""
        pause_s = self._every_s
        while True:
            await self.finish()
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S) if self.failure else self._every_s
            await asyncio.sleep(pause_s)

    async def finish(self) -> None:
        """Send what is new once."""
        try:
            notes = await asyncio.to_thread(self._read)
            new = [one for name, one in notes.items() if self._sent.get(name) != one]
            if new:
                await self._target.send(new)
        except Exception as error:  # noqa: BLE001 (whatever it is: shown, and tried again)
            self._fail(error)
        else:
            self._sent = notes
            if self.failure is not None:
                _LOG.info("a witness has the newest checkpoints again", extra={"to": self.name})
            self.failure = None

    def _read(self) -> dict[str, bytes]:
        return {**installation_notes(self._folder), **latest_notes(self._folder)}

    def _fail(self, error: Exception) -> None:
        if self.failure is None:
            _LOG.warning(
                "a witness does not have the newest checkpoints",
                extra={"to": self.name, "why": str(error)},
            )
        if isinstance(error, RingfenceError):
            self.failure = error
        else:
            self.failure = _unavailable(self.name, type(error).__name__)


@final
class Witnesses:
    """All witnesses of a plane, from its start until after its last checkpoint."""

    def __init__(self, folder: Path, places: Sequence[str]) -> None:
        """Take what `--witness` names."""
        self._pool = Pool(tls=client_context())
        self._all = [Witness(folder, target(where, self._pool)) for where in places]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to send."""
        self._tasks = [asyncio.create_task(each.run()) for each in self._all]

    async def stop(self) -> None:
        """Send what was signed last, for a moment, and end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await asyncio.gather(*(each.finish() for each in self._all))
        await self._pool.close()

    @property
    def behind(self) -> list[str]:
        """Those that do not have the newest checkpoints."""
        return [each.name for each in self._all if each.failure is not None]

    def trouble(self) -> str:
        """How many are behind, in words; empty if none is."""
        behind = len(self.behind)
        return f"{behind} witnesses do not have the newest checkpoints" if behind else ""


def target(where: str, client: Requester) -> Target:
    """A place as `--witness` names it: a URL, or else a path."""
    if urlsplit(where).scheme in DEFAULT_PORTS:
        return UrlTarget(where, client)
    return FileTarget(Path(where))


def _unavailable(name: str, why: str) -> UnavailableError:
    return UnavailableError("witness_unavailable", f"witness `{name}` cannot be reached: {why}")
