"""The lock file beside a configuration file: which definitions of tools are accepted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ringfence.analysis import tool_lock
from ringfence.config.problem import Place
from ringfence.config.reading import Reading
from ringfence.domain.error import UsageError

_LARGEST_BYTES: Final = 32 * 1024 * 1024


def lock_path(configuration: Path) -> Path:
    """`ringfence.tools.lock` for `ringfence.yaml`."""
    return configuration.with_suffix(".tools.lock")


def read_lock(configuration: Path, reading: Reading) -> Mapping[str, tuple[bytes, ...]] | None:
    """Read the lock file of a configuration file; None if there is none.

    One that cannot be read is a problem: without it every change of a tool would be trusted.
    """
    path = lock_path(configuration)
    what, help_ = "", ""
    try:
        if not path.exists():
            return None
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
        if len(data) <= _LARGEST_BYTES:
            return tool_lock.read(data)
        what, help_ = "is too large", f"at most {_LARGEST_BYTES // 1024**2} MiB"
    except OSError as error:
        what, help_ = "cannot be read", (error.strerror or "").lower()
    except UsageError as error:
        what, help_ = error.message.removeprefix("the lock file "), error.help
    reading.problems.add(Place(str(path)), what, help_)
    return None
