"""`ringfence completion`: the script by which a shell completes commands, options and agents."""

import click
from click.shell_completion import get_completion_class

from ringfence.cli.terminal.printing import say
from ringfence.domain.error import UsageError

_PROGRAM = "ringfence"
_VARIABLE = "_RINGFENCE_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    For bash: eval "$(ringfence completion bash)" in ~/.bashrc. For zsh: the same in ~/.zshrc. For
    fish: ringfence completion fish > ~/.config/fish/completions/ringfence.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError("shell_unknown", f"no completion for `{shell}`")
    say([kind(context.find_root().command, {}, _PROGRAM, _VARIABLE).source().strip()])
