"""Start the scripted tool server: `python -m ringfence.testing.tools`."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence

from ringfence.testing.tools.dialogue import Offer
from ringfence.testing.tools.plan import Plan
from ringfence.testing.tools.serving import serve
from ringfence.testing.tools.stdio import serve_stdio

_PORT = 8487  # beside the scripted model's 8486
_EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped; gives the exit code."""
    options = _parser().parse_args(arguments)
    plan = Plan(
        name=options.name,
        eras=options.eras,
        rug_pull_after=options.rug_pull_after,
        page=options.page,
        as_stream=options.as_stream,
        token=options.token,
        suffix=options.suffix,
        extra=tuple(json.loads(options.extra)),
        ttl_ms=options.ttl_ms,
    )
    try:
        if options.stdio:
            asyncio.run(serve_stdio(Offer(plan)))
        else:
            asyncio.run(serve(plan, host=options.host, port=options.port, ready=_announce))
    except OSError as error:
        sys.stderr.write(f"error: cannot listen on {options.host}:{options.port}: {error}\n")
        return _EXIT_USAGE
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ringfence.testing.tools",
        description="An MCP server for tests, of both eras (docs/testing.md).",
    )
    parser.add_argument("--stdio", action="store_true", help="serve the standard streams")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=_PORT, help="0 picks a free one")
    parser.add_argument("--name", default="scripted-tools")
    parser.add_argument("--eras", choices=("both", "legacy", "modern"), default="both")
    parser.add_argument("--rug-pull-after", type=int, default=0, metavar="CALLS")
    parser.add_argument("--page", type=int, default=0, metavar="ENTRIES")
    parser.add_argument("--as-stream", action="store_true", help="answer calls as event streams")
    parser.add_argument("--token", default="", help="the bearer token it wants")
    parser.add_argument("--suffix", default="", help="ends the name of every tool")
    parser.add_argument("--extra", default="[]", metavar="JSON", help="a list of further tools")
    parser.add_argument("--ttl-ms", type=int, default=0)
    return parser


def _announce(url: str) -> None:
    sys.stdout.write(f"scripted tools listening on {url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
