"""The entry point: which command lives where, loaded only when it is called."""

import importlib
import sys
from typing import Final

import click

from ringfence import __version__
from ringfence.domain.error import RingfenceError, UnavailableError

EXIT_DOES_NOT_HOLD: Final = 1
EXIT_WRONG_USE: Final = 2
EXIT_NOT_REACHABLE: Final = 3

_COMMANDS: Final = {
    "up": ("ringfence.cli.up:up", "Start the plane."),
}
"""Name, where it is, and one line of help; so that `--help` loads none of them."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{name} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ringfence")
def cli() -> None:
    """Govern AI agents: identity, budgets, policy and a record of every action."""


def main() -> None:
    """Run one command; errors of ours become one clear message and the right exit code."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_WRONG_USE)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except RingfenceError as error:
        click.echo(f"ringfence: {error.message}", err=True)
        if error.help:
            click.echo(f"  {error.help}", err=True)
        sys.exit(EXIT_NOT_REACHABLE if isinstance(error, UnavailableError) else EXIT_WRONG_USE)
