"""Processes of the demo: started apart from the terminal's signals, ended by their own id."""

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ringfence.domain.error import UnavailableError

_READY_S = 60.0
_POLL_S = 0.02
_END_S = 5.0
_LAST_LINES = 6


class Child:
    """One process; what it writes goes to a file."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        """Start it."""
        self.name = name
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 (our own interpreter)
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches the demo alone, which then ends its children in order.
                start_new_session=True,
            )

    def line(self, words: str) -> str:
        """The first line with these words, when it is written. Raises as `wait_until_ready`.

        A port is told so by who has it: one that was found free may be another's by then.
        """
        for _ in self._polls():
            for line in self._written().splitlines(keepends=True):
                if words in line and line.endswith("\n"):
                    return line
        raise self._failed("does not answer")

    def wait_until_ready(self, port: int, path: str) -> None:
        """Return when it answers a GET with 200. Raises UnavailableError `demo_failed`."""
        for _ in self._polls():
            if _is_answering(port, path):
                return
        raise self._failed("does not answer")

    def check(self) -> None:
        """Raises UnavailableError `demo_failed` if it is not running any more."""
        if self._process.poll() is not None:
            raise self._failed("ended by itself")

    def wait(self, limit_s: float) -> str:
        """What it wrote, when it has ended well. Raises UnavailableError `demo_failed`."""
        try:
            code = self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise self._failed("does not end") from None
        if code != 0:
            raise self._failed(f"ended with code {code}")
        return self._written().strip()

    def ask_to_end(self) -> None:
        """Send SIGTERM, if it still runs."""
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGTERM)

    def end(self) -> None:
        """Return when it has ended; insist if it does not."""
        self.ask_to_end()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _polls(self) -> Iterator[None]:
        """Moments at which it runs, until it should have been ready."""
        until = time.monotonic() + _READY_S
        while time.monotonic() < until:
            self.check()
            yield
            time.sleep(_POLL_S)

    def _written(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _failed(self, what: str) -> UnavailableError:
        """An error with the last lines of its output."""
        last = " / ".join(self._written().splitlines()[-_LAST_LINES:])
        return UnavailableError("demo_failed", f"the demo's {self.name} {what}", help=last)


def _is_answering(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
