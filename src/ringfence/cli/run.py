"""`ringfence run`: start any program as an agent, in a sandbox that lives as long as the plane."""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import click
import msgspec

from ringfence.cli.connection import Place, connect_running
from ringfence.cli.option import at_organisation, complete_agent
from ringfence.domain.agent import SandboxTier
from ringfence.domain.error import RingfenceError, UsageError
from ringfence.domain.sandbox import SandboxGrant
from ringfence.integrations import known_agent
from ringfence.sandbox import program, running
from ringfence.sandbox.assembly import Task
from ringfence.sandbox.workspace import choice
from ringfence.transport.kernel.syscall import architecture


@click.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "--agent", required=True, metavar="NAME", shell_complete=complete_agent, help="Who acts."
)
@click.option(
    "--sandbox",
    "tier",
    type=click.Choice([each.value for each in SandboxTier]),
    help="More isolation than the agent's own minimum; never less.",
)
@click.option(
    "--workspace", metavar="DIR", help="The one folder that it may change [the present folder]."
)
@click.option(
    "--builtins",
    "tells_builtins",
    is_flag=True,
    help="Have Bash tell of its own commands (cd, echo …): evidence, and marked as such.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND…")
@at_organisation
def run(  # noqa: PLR0913 (one for each word of the command line)
    place: Place,
    *,
    agent: str,
    tier: str | None,
    workspace: str | None,
    tells_builtins: bool,
    command: tuple[str, ...],
) -> int:
    """Start COMMAND as agent NAME: sandboxed, governed and on the record.

    Output, input and signals pass through, and the exit code is the command's; 124 means that its
    time was up, 125 that the sandbox was ended, 3 that the plane is gone.
    """
    if not hasattr(os, "fork"):  # in no tier: what watches a command is its parent
        architecture()
    task = replace(_task(command, choice.chosen(workspace)), tells_builtins=tells_builtins)
    plane = connect_running(place)
    answer = plane.post("/sandboxes", _order(agent, tier, task))
    grant = _granted(answer)
    try:
        _check_own(grant)
        own = (place.settings.data, place.settings.config)
        kept = [*(str(each.absolute()) for each in own), *grant.kept]
        result = running.run(grant, task, known_agent.setup, kept, place.settings.data.absolute())
    except BaseException:
        with suppress(RingfenceError):
            plane.post(f"/sandboxes/{grant.id}/stop")
        raise
    if result.note:
        click.echo(f"ringfence: {result.note}", err=True)
    if result.message:
        click.echo(f"ringfence: the sandbox has ended: {result.message}", err=True)
    return result.exit_code


def _granted(answer: bytes) -> SandboxGrant:
    """What the plane grants. Raises UsageError `link_version`."""
    try:
        return msgspec.json.decode(answer, type=SandboxGrant)
    except msgspec.DecodeError as error:
        raise UsageError(
            "link_version",
            "the running plane is of another version than this command",
            help="restart the plane, so that both are of one version",
        ) from error


def _check_own(grant: SandboxGrant) -> None:
    """Raises UsageError `plane_of_another`: root reaches every plane, and joins its own alone."""
    owner = Path(grant.socket).stat().st_uid
    if hasattr(os, "geteuid") and owner != os.geteuid():
        raise UsageError(
            "plane_of_another",
            f"this plane is run by user {owner}, and you are user {os.geteuid()}",
            help="run agents as the user that started the plane, or start one of your own",
        )


def _task(command: tuple[str, ...], folder: str) -> Task:
    """What is to be run and where: where its caller stands, if that is in the workspace."""
    try:
        here = os.getcwd()  # noqa: PTH109 (text, like its neighbours)
    except FileNotFoundError:
        here = folder
    is_within = here == folder or here.startswith(folder + "/")
    return Task(
        command=command,
        workspace=folder,
        directory=here if is_within else folder,
        program=program.find(command[0], os.environ.get("PATH", ""), folder),
        is_interactive=all(os.isatty(each) for each in (0, 1, 2)),
    )


def _order(agent: str, tier: str | None, task: Task) -> dict[str, object]:
    return {
        "agent": agent,
        "command": task.command,
        "workspace": task.workspace,
        "directory": task.directory,
        "tier": tier,
        "is_interactive": task.is_interactive,
    }
