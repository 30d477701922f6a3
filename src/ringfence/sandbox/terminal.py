"""The terminal of an interactive run: what is typed goes in, what is printed comes out."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import Any, Final, final

try:
    import fcntl
    import termios
    import tty
except ImportError:  # Windows, where importing must not fail
    fcntl = termios = tty = None  # type: ignore[assignment] # absent there, and nothing here is called

_CHUNK_BYTES: Final = 65_536
_SIZE_BYTES: Final = 8  # struct winsize: four unsigned shorts
_PENDING_BYTES: Final = 1 << 20
"""What is typed ahead of a program that does not read; more is not taken from the keyboard."""
_SUSPEND: Final = b"\x1a"
_AWAKE_S: Final = 0.5
"""How long after Ctrl-Z a command goes on that has suspended itself; a shell has acted by then."""

Seen = Callable[[bytes], None]


@final
class TerminalRelay:
    """A `monitor.Part`: our terminal's keys go to the sandbox's own terminal, its output to ours.

    The agent never holds our terminal, so that nothing it does with its own can type into ours.
    """

    def __init__(self, terminal: int, *, keyboard: int = 0, screen: int = 1, seen: Seen) -> None:
        """`terminal` is our side of the sandbox's; `seen` is shown what is printed."""
        self._terminal = terminal
        self._keyboard = keyboard
        self._screen = screen
        self._seen = seen
        self._loop = asyncio.get_running_loop()
        self._before: list[Any] | None = None
        self._typed = b""
        self._is_writing = False

    def begin(self) -> None:
        """Take our terminal over, with its size."""
        os.set_blocking(self._terminal, False)
        with contextlib.suppress(termios.error):
            self._before = termios.tcgetattr(self._keyboard)
            tty.setraw(self._keyboard, termios.TCSADRAIN)  # what is typed ahead stays
        self._resize()
        self._loop.add_signal_handler(signal.SIGWINCH, self._resize)
        self._loop.add_reader(self._terminal, self._printed)
        self._loop.add_reader(self._keyboard, self._type)

    async def finish(self) -> None:
        """Show what was printed last and give our terminal back."""
        self._loop.remove_signal_handler(signal.SIGWINCH)
        self._stop_typing()
        self._loop.remove_reader(self._terminal)
        self._loop.remove_writer(self._terminal)
        while self._print():
            pass
        self.restore()
        os.close(self._terminal)

    def restore(self) -> None:
        """Give our terminal back as it was; harmless twice."""
        before, self._before = self._before, None
        if before is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._keyboard, termios.TCSADRAIN, before)

    def _resize(self) -> None:
        with contextlib.suppress(OSError):
            size = fcntl.ioctl(self._keyboard, termios.TIOCGWINSZ, b"\0" * _SIZE_BYTES)
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)

    def _printed(self) -> None:
        if not self._print():
            self._loop.remove_reader(self._terminal)

    def _print(self) -> bool:
        """Whether there may be more."""
        try:
            data = os.read(self._terminal, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        except OSError:  # Linux says EIO when nobody has the other side open any more
            return False
        if data:
            self._seen(data)
            _write(self._screen, data)
        return bool(data)

    def _type(self) -> None:
        try:
            data = os.read(self._keyboard, _CHUNK_BYTES)
        except OSError:
            data = b""
        if not data:
            self._stop_typing()
            return
        self._typed += data
        self._pass()
        if _SUSPEND in data:
            self._loop.call_later(_AWAKE_S, self._go_on)

    def _pass(self) -> None:
        with contextlib.suppress(OSError):
            self._typed = self._typed[os.write(self._terminal, self._typed) :]
        if self._typed and not self._is_writing:
            self._is_writing = True
            self._loop.add_writer(self._terminal, self._pass)
        elif not self._typed and self._is_writing:
            self._is_writing = False
            self._loop.remove_writer(self._terminal)
        if len(self._typed) > _PENDING_BYTES:
            self._stop_typing()

    def _go_on(self) -> None:
        """Whatever has the terminal goes on: where the command suspends itself, nobody would `fg`.

        Shells in the sandbox are not disturbed; when their own job stops, they have the terminal.
        """
        with contextlib.suppress(OSError):
            group = os.tcgetpgrp(self._terminal)
            if group > 1:
                os.killpg(group, signal.SIGCONT)

    def _stop_typing(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._loop.remove_reader(self._keyboard)


def _write(descriptor: int, data: bytes) -> None:
    """Write all of it; a screen that is gone is no reason to end."""
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]
