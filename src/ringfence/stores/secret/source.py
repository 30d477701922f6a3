"""Where values of secrets come from; each source fetches one. A store of another kind is one more.

Fetching blocks. INVARIANT (I5): no error tells anything of a value.
"""

import os
import selectors
import stat
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol, final

from ringfence.domain.error import UsageError
from ringfence.domain.secret import FromCommand
from ringfence.stores.secret.stored import LARGEST_BYTES, StoredSecrets
from ringfence.stores.secret.value import Secret

COMMAND_S: Final = 15.0
_PART_BYTES: Final = 16 * 1024
_COMMAND_VARIABLES: Final = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "XDG_RUNTIME_DIR", "USER")
"""What a program needs to run at all; nothing else of the plane's own environment reaches it."""


class SecretSource(Protocol):
    """One value, wherever it is kept."""

    @property
    def refresh_s(self) -> float | None:
        """After how long it is to be fetched again; None if time alone changes nothing."""

    def fetch(self) -> Secret | None:
        """The value as it is now; None if there is none yet.

        Raises UsageError if something is wrong with it, UnavailableError if it cannot be had now.
        """

    def has_changed(self) -> bool:
        """Whether it looks as if it were another since it was fetched; a quick look."""


@final
class EnvironmentSource:
    """A variable of the plane's environment, which does not change while it runs."""

    refresh_s = None

    def __init__(self, variable: str, environment: Mapping[str, str]) -> None:
        """Take the variable's name."""
        self._variable = variable
        self._environment = environment

    def fetch(self) -> Secret | None:
        """Raises UsageError `secret_missing`."""
        value = self._environment.get(self._variable)
        if not value:
            raise UsageError(
                "secret_missing",
                f"environment variable `{self._variable}` is not set",
                help=f"export {self._variable}=… before starting Ringfence",
            )
        return Secret(value)

    def has_changed(self) -> bool:
        """Never."""
        return False


@final
class FileSource:
    """A file, such as an orchestrator mounts and replaces."""

    refresh_s = None

    def __init__(self, name: str, path: Path) -> None:
        """Take the secret's name, for errors, and the path."""
        self._name = name
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def fetch(self) -> Secret | None:
        """Raises UsageError `secret_file`."""
        try:
            self._seen = self._look()
            with open(self._path, "rb", opener=_without_waiting) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise self._failed("is not a regular file")
                data = file.read(LARGEST_BYTES + 1)
        except OSError as error:
            raise self._failed(f"cannot be read: {(error.strerror or '').lower()}") from None
        return _read(data, self._failed)

    def has_changed(self) -> bool:
        """Whether it was written or replaced."""
        try:
            return self._look() != self._seen
        except OSError:
            return self._seen is not None

    def _look(self) -> tuple[int, int, int]:
        found = self._path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _failed(self, why: str) -> UsageError:
        return UsageError("secret_file", f"the file of secret `{self._name}` {why}")


def _without_waiting(path: str, flags: int) -> int:
    """Open what may be a pipe that nobody writes to: what it is can be asked only then."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


@final
class CommandSource:
    """What a program prints. It is run without a shell and with little of the environment."""

    def __init__(self, name: str, origin: FromCommand, environment: Mapping[str, str]) -> None:
        """Take the secret's name, for errors, and the command."""
        self._name = name
        self._command = origin.command
        self.refresh_s = origin.refresh_s
        self._environment = {
            key: environment[key] for key in _COMMAND_VARIABLES if key in environment
        }

    def fetch(self) -> Secret | None:
        """Raises UsageError `secret_command`; what the program says of errors is not passed on."""
        try:
            with subprocess.Popen(  # noqa: S603 (the operator's own command, without a shell)
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environment,
            ) as running:
                try:
                    said = self._said(running)
                finally:
                    running.kill()  # harmless after its end
        except OSError as error:
            raise self._failed(f"cannot be run: {(error.strerror or '').lower()}") from None
        if running.returncode and len(said) <= LARGEST_BYTES:
            raise self._failed(f"ended with exit code {running.returncode}")
        return _read(said, self._failed)

    def _said(self, running: "subprocess.Popen[bytes]") -> bytes:
        """What it prints until it ends, as far as that may be a value; more ends it."""
        until = time.monotonic() + COMMAND_S
        said = bytearray()
        output = running.stdout
        if output is None:
            raise self._failed("has no output")
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while len(said) <= LARGEST_BYTES:
                left_s = until - time.monotonic()
                if left_s <= 0 or not selector.select(left_s):
                    raise self._late()
                part = os.read(output.fileno(), _PART_BYTES)
                if not part:
                    break
                said += part
            else:
                return bytes(said)
        try:
            running.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise self._late() from None
        return bytes(said)

    def _late(self) -> UsageError:
        return self._failed(f"has not ended in {COMMAND_S:.0f} seconds")

    def has_changed(self) -> bool:
        """Nobody can tell without running it."""
        return False

    def _failed(self, why: str) -> UsageError:
        return UsageError("secret_command", f"the command of secret `{self._name}` {why}")


@final
class StoredSource:
    """A row of the encrypted store; whoever changes it says so."""

    refresh_s = None

    def __init__(self, stored: StoredSecrets, organisation: str, name: str) -> None:
        """Take whose it is, by id, and its name."""
        self._stored = stored
        self._organisation = organisation
        self._name = name

    def fetch(self) -> Secret | None:
        """Raises as `StoredSecrets.get`."""
        found = self._stored.get(self._organisation, self._name) if self._organisation else None
        return None if found is None else found[0]

    def has_changed(self) -> bool:
        """Not unless somebody says so."""
        return False


class _Failed(Protocol):
    def __call__(self, why: str, /) -> UsageError: ...


def _read(data: bytes, failed: _Failed) -> Secret:
    """A text without its last line end."""
    if len(data) > LARGEST_BYTES:
        raise failed(f"gives over {LARGEST_BYTES} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise failed("gives no UTF-8 text") from None
    value = text.removesuffix(os.linesep).removesuffix("\n").removesuffix("\r")
    if not value:
        raise failed("gives nothing")
    return Secret(value)
