"""Start the scripted model server: `python -m ringfence.testing.model`."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from ringfence.domain.error import UsageError
from ringfence.testing.model import script
from ringfence.testing.model.serving import serve

_PORT = 8486  # beside the plane's 8484 and 8485
_EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped; gives the exit code."""
    options = _parser().parse_args(arguments)
    try:
        played = script.load(options.script) if options.script else script.default()
        asyncio.run(serve(played, host=options.host, port=options.port, ready=_announce))
    except UsageError as error:
        sys.stderr.write(f"error: {error.message}\n{error.help}\n")
        return _EXIT_USAGE
    except OSError as error:
        sys.stderr.write(f"error: cannot listen on {options.host}:{options.port}: {error}\n")
        return _EXIT_USAGE
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ringfence.testing.model",
        description="A model server that answers from a script (docs/testing.md).",
    )
    parser.add_argument(
        "--script", type=Path, metavar="FILE", help="YAML; a built-in one if absent"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=_PORT, help="0 picks a free one")
    return parser


def _announce(url: str) -> None:
    sys.stdout.write(f"scripted model listening on {url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
