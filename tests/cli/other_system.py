"""Run one command as another system would have it: without what only Linux, or only Unix, has.

python -m tests.cli.other_system SYSTEM WORD…
"""

import selectors
import subprocess
import sys

import click
import httptools
from tests.sandbox.elsewhere import pretend

LOADED = (click, httptools, subprocess)
"""What is not ours knows by itself where it is, and must not be told otherwise."""


def main() -> None:
    """Pretend, and be the command line from then on."""
    # The loop of Linux is epoll's, which is one of the things that are taken away.
    setattr(selectors, "DefaultSelector", selectors.SelectSelector)  # noqa: B010 (its type is Linux's)
    pretend(sys.argv[1])
    from ringfence.cli.main import main as command_line  # noqa: PLC0415 (as it is loaded there)

    command_line(sys.argv[2:])


if __name__ == "__main__":
    main()
