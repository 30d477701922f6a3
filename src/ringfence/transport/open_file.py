"""How many files and connections this process may have open.

Source: getrlimit(2). Many systems give 1,024 at first and let a process ask for more, for the sake
of programs that use select(2); a plane does not, and holds one for each connection.
"""

import sys
from typing import Final

_ENOUGH: Final = 65_536
"""More than any plane needs; what it starts inherits it, and some programs close them all."""


def allow_many_files() -> int:
    """Ask for as many as this process may have; gives how many that are, 0 where nobody counts."""
    if sys.platform == "win32":
        return 0
    import resource  # noqa: PLC0415 (not there on Windows)

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return most if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
