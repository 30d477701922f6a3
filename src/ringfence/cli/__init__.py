"""The command line: every command is a short shell around the control plane's API.

Read `main` (which command lives where), `connection` (a running plane or a stopped one), `terminal`
(how things are shown), then any command.
"""

from ringfence.cli.main import main

__all__ = ["main"]
