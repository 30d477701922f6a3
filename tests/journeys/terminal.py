"""A terminal that a script types at: what was printed is waited for, as a person would read it."""

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self, final

_ESCAPES: Final = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[PX^_].*?\x1b\\|\x1b[ -~]",
    re.DOTALL,
)
_QUESTIONS: Final = (
    (re.compile(rb"\x1b\[6n"), b"\x1b[1;1R"),  # where is the cursor
    (re.compile(rb"\x1b\[0?c"), b"\x1b[?62;22c"),  # what are you
    (re.compile(rb"\x1b\[\?u"), b"\x1b[?0u"),  # which keyboard protocol
    (re.compile(rb"\x1b\]1([01]);\?(?:\x07|\x1b\\)"), b"\x1b]11;rgb:0000/0000/0000\x1b\\"),
)
"""What programs ask a terminal, and what one says."""


class TimedOutError(Exception):
    """What was waited for was not printed."""


@final
class Terminal:
    """One program at a terminal of its own, as its session's leader."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        user: int | None = None,
    ) -> None:
        """Start it; `user` is who it runs as, where that is not ourselves."""
        self._screen, theirs = os.openpty()
        name = os.ttyname(theirs)
        self.resize(40, 120)
        more: dict[str, Any] = {}
        if user is not None:
            os.chown(name, user, -1)
            more = {"user": user, "group": user, "extra_groups": []}
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
            preexec_fn=_lead,  # noqa: PLW1509 (nothing of ours runs threads meanwhile)
            **more,
        )
        self.printed = b""
        self._seen = 0
        self._answered = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(30)
        for each in (self._screen, self._theirs):
            with contextlib.suppress(OSError):
                os.close(each)

    @property
    def text(self) -> str:
        """What was printed since the last `expect`: no colours, moves or spaces.

        Programs move the cursor where others print spaces.
        """
        return _plain(self.printed[self._seen :])

    def forget(self) -> None:
        """Leave out of `text` what was printed until now."""
        self._seen = len(self.printed)

    def expect(self, words: str, within_s: float = 120.0, *, is_drawn: bool = False) -> str:
        """Wait until this was printed; gives all until then. Raises TimedOutError.

        What is drawn may be drawn in pieces, with other places of the screen between its words.
        """
        wanted = re.compile(
            (".*?" if is_drawn else "").join(map(re.escape, words.split())), re.DOTALL
        )
        ends = time.monotonic() + within_s
        while not wanted.search(self.text):
            if time.monotonic() > ends:
                raise TimedOutError(f"{words!r} in {self.text[-1500:]!r}")
            self.read(0.1)
        said, self._seen = self.text, len(self.printed)
        return said

    def read(self, seconds: float) -> None:
        """Take what is printed for a while, and answer what programs ask of terminals."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            if not select.select([self._screen], [], [], left)[0]:
                return
            with contextlib.suppress(OSError):
                self.printed += os.read(self._screen, 65536)
            self._answer()

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def modes(self) -> list[Any]:
        """How the terminal is set now."""
        return termios.tcgetattr(self._theirs)

    def hang_up(self) -> None:
        """Close it, as a window is closed."""
        os.close(self._theirs)
        os.close(self._screen)

    def wait(self, within_s: float = 60.0) -> int:
        """Its exit code, read to the end. Raises TimedOutError."""
        ends = time.monotonic() + within_s
        while self.process.poll() is None:
            if time.monotonic() > ends:
                raise TimedOutError(f"it goes on: {self.text[-1500:]!r}")
            self.read(0.1)
        self.read(0.1)
        return int(self.process.returncode)

    def _answer(self) -> None:
        fresh = self.printed[self._answered :]
        ends = [0]
        for asked, said in _QUESTIONS:
            for match in asked.finditer(fresh):
                ends.append(match.end())
                os.write(self._screen, said)
        self._answered += max(ends)


def _lead() -> None:
    """Make the terminal that of the new session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _plain(raw: bytes) -> str:
    return "".join(_ESCAPES.sub(b"", raw).decode("utf-8", "replace").split())
