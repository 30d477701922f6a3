"""`python -m ringfence` is the command line."""

import os
import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it while nobody would catch it

for _number, _name in enumerate(("stdin", "stdout", "stderr")):
    # Of a stream that the caller has closed the next file that is opened would take the place.
    if getattr(sys, _name) is None:
        os.dup2(os.open(os.devnull, os.O_RDWR), _number)
        setattr(sys, _name, os.fdopen(_number, "w" if _number else "r", encoding="utf-8"))

from ringfence.cli import main  # noqa: E402 (what comes before must)


def start() -> None:
    """The command line, which catches Ctrl-C from here on."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main()


if __name__ == "__main__":
    start()
