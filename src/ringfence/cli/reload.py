"""`ringfence reload`: let the running plane read its configuration again."""

import click
import msgspec

from ringfence.cli.connection import Place, connect_running
from ringfence.cli.option import JSON, at_installation
from ringfence.cli.terminal.printing import say, say_json
from ringfence.cli.terminal.text import harmless
from ringfence.domain.error import UsageError


class _Reloaded(msgspec.Struct):
    epoch: int
    configuration: str


@click.command("reload")
@JSON
@at_installation
def reload(place: Place, *, is_json: bool) -> None:
    """Let the running plane read its configuration again: all of it, or nothing changes."""
    try:
        answer = connect_running(place).post("/reload")
    except UsageError as error:
        if error.code == "configuration_invalid":
            error.help = "\n".join(filter(None, (error.help, "`ringfence check` tells them all")))
        raise
    if is_json:
        say_json(msgspec.Raw(answer))
        return
    loaded = msgspec.json.decode(answer, type=_Reloaded)
    say([harmless(f"epoch {loaded.epoch} is in force ({loaded.configuration[:19]}…)")])
