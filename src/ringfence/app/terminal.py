"""What SIGHUP means: a wish to reload, or that the plane's terminal is gone.

The signal is the same. Daemons take it as a wish to reload; a program in a terminal gets it when
the window is closed or the connection lost, and whoever closed it expects the program to end too.
After that the process has no terminal any more, so the two can be told apart.
"""

import os
from typing import Final

_TERMINAL: Final = "/dev/tty"
"""The controlling terminal of whoever opens it; ENXIO without one. Source: tty(4)."""


def is_attached() -> bool:
    """Whether this process has a controlling terminal now."""
    try:
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def is_gone(*, was_attached: bool) -> bool:
    """Whether the terminal that there was at the start is gone."""
    return was_attached and not is_attached()
