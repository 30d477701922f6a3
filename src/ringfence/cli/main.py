"""The entry point: which command lives where, loaded only when it is called."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

import click
from click.exceptions import NoArgsIsHelpError
from click.shell_completion import CompletionItem

from ringfence import __version__
from ringfence.cli.terminal.text import harmless
from ringfence.cli.usage import Group, translated
from ringfence.config.problem import ConfigurationError
from ringfence.domain.error import RingfenceError, UnavailableError, UsageError

EXIT_WRONG_USE: Final = 2
EXIT_NOT_REACHABLE: Final = 3
_SHOWN_CHARACTERS: Final = 80
_EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it

_HIDDEN: Final = {"worker": "ringfence.cli.worker:worker"}
"""What only Ringfence itself calls."""

_OF_UNIX: Final = frozenset({"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"})
"""Modules of Python that are not there on Windows."""

_COMMANDS: Final = {
    "demo": ("ringfence.cli.demo.command:demo", "See it work: a plane, a model and three agents."),
    "init": ("ringfence.cli.init:init", "Write a configuration to start from."),
    "check": ("ringfence.cli.check:check", "Judge the configuration without using it."),
    "up": ("ringfence.cli.up:up", "Start the plane."),
    "reload": ("ringfence.cli.reload:reload", "Let the running plane read its configuration."),
    "status": ("ringfence.cli.status:status", "Show how the running plane is."),
    "doctor": (
        "ringfence.cli.doctor.command:doctor",
        "Look for what could keep the plane from working.",
    ),
    "run": ("ringfence.cli.run:run", "Start any program as an agent, in a sandbox."),
    "sandbox": ("ringfence.cli.sandbox:sandbox", "What runs in a sandbox now; end it."),
    "agent": ("ringfence.cli.agent:agent", "Agents and their tokens."),
    "approval": ("ringfence.cli.approval:approval", "Calls that wait for a person."),
    "tools": ("ringfence.cli.tools.command:tools", "Tools: what is accepted, what has changed."),
    "policy": ("ringfence.cli.policy:policy", "Policies: judge, test and explain them."),
    "trace": ("ringfence.cli.trace.command:trace", "What agents did, step by step."),
    "audit": ("ringfence.cli.audit:audit", "The record: search, export, verify."),
    "budget": ("ringfence.cli.budget:budget", "What is spent and left; grant more."),
    "backup": ("ringfence.cli.backup:backup", "Copy the data folder, also while the plane runs."),
    "restore": ("ringfence.cli.backup:restore", "Put a backup back."),
    "user": ("ringfence.cli.user:user", "Users, and the tokens with which agents act for them."),
    "key": ("ringfence.cli.key:key", "API keys for people and their programs."),
    "secret": ("ringfence.cli.secret:secret", "Secrets that are added to agents' requests."),
    "completion": ("ringfence.cli.completion:completion", "Print a shell's completion script."),
}
"""Name, where it is, and one line of help; so that `--help` loads none of them."""


class LazyGroup(Group):
    """A group that knows its commands by name and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        del ctx
        where = _HIDDEN.get(cmd_name) or _COMMANDS.get(cmd_name, ("",))[0]
        if not where:
            return None
        module, _, name = where.partition(":")
        command = getattr(importlib.import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{name} is not a command")
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; whoever reads its output may stop reading at any time."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Python must not stumble over the closed pipe once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return result

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name without loading any."""
        del ctx
        return [
            CompletionItem(name, help=text)
            for name, (_, text) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ringfence")
def cli() -> None:
    """Govern AI agents: identity, budgets, policy and a record of every action."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command; errors of ours become one clear message and the right exit code."""
    for stream in (sys.stdout, sys.stderr):  # what a terminal cannot show must not end a command
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    code: object = None
    try:
        code = cli.main(arguments, prog_name="ringfence", standalone_mode=False)
    except click.exceptions.Exit as end:
        code = end.exit_code
    except NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = EXIT_WRONG_USE
    except click.ClickException as error:
        code = _report(translated(error))
    except RingfenceError as error:
        code = _report(error)
    except UnicodeEncodeError as error:
        code = _report(_not_utf8(error))
    except ModuleNotFoundError as error:
        if error.name not in _OF_UNIX:
            raise
        unix_socket = importlib.import_module("ringfence.transport.unix_socket")
        code = _report(unix_socket.no_plane_here())
    except PermissionError as error:
        code = _report(_not_permitted(error))
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        code = _EXIT_INTERRUPTED
    return code if isinstance(code, int) else 0


def _not_utf8(error: UnicodeEncodeError) -> UsageError:
    """A word of the command line is no text. Raises the error again if it is of anything else."""
    given = error.object
    if not any(given in word for word in sys.argv):
        raise error
    shown = os.fsencode(given[:_SHOWN_CHARACTERS]).decode(errors="backslashreplace")
    help_ = "the record holds text alone; a file of such a name can be linked by another"
    return UsageError("not_utf8", f"`{shown}` is not UTF-8", help=help_)


def _not_permitted(error: PermissionError) -> UsageError:
    """A file that this user may not use, where nobody has said so better."""
    what = f"`{error.filename}`" if error.filename else "what is needed here"
    help_ = "call this as the user whose installation it is"
    return UsageError("not_permitted", f"this user may not use {what}", help=help_)


def _report(error: RingfenceError) -> int:
    if isinstance(error, ConfigurationError):
        lines = error.render().split("\n")
    else:
        advice = [f"  {line}" for line in error.help.split("\n") if line]
        lines = [f"ringfence: {error.message}", *advice]
    for line in lines:
        click.echo(harmless(line), err=True)
    return EXIT_NOT_REACHABLE if isinstance(error, UnavailableError) else EXIT_WRONG_USE
