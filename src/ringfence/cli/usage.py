"""Wrong use of a command, said in our own words, with the nearest right one."""

import difflib
from collections.abc import Iterable

import click

from ringfence.domain.error import UsageError


class Group(click.Group):
    """A group that helps whoever misspells one of its commands."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. Raises UsageError `command_unknown`."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            raise UsageError(
                "command_unknown",
                f"unknown command `{name}`",
                help=_nearest(name, self.list_commands(ctx)) or f"see `{ctx.command_path} --help`",
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, each with its first sentence, whole."""
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, _sentence(each.help or "")) for name, each in named if each is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _sentence(text: str) -> str:
    first, _, _ = " ".join(text.split()).partition(". ")
    return first.rstrip(".")


def translated(error: click.ClickException) -> UsageError:
    """What the parser found wrong."""
    if isinstance(error, click.NoSuchOption):
        advice = _nearest(error.option_name, error.possibilities or ()) or _see(error.ctx)
        return UsageError("option_unknown", f"unknown option `{error.option_name}`", help=advice)
    text = error.format_message().replace("'", "`").rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    return UsageError("usage", text[:1].lower() + text[1:], help=_see(context))


def _nearest(name: str, choices: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, choices, n=1)
    return f"did you mean `{close[0]}`?" if close else ""


def _see(context: click.Context | None) -> str:
    if context is None:
        return ""
    usage = " ".join(context.command.collect_usage_pieces(context))
    return f"usage: {context.command_path} {usage}; see `{context.command_path} --help`"
