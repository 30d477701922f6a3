"""`ringfence backup` and `ringfence restore`: a data folder as one file, and back."""

from pathlib import Path

import click

from ringfence import __version__
from ringfence.cli.connection import Place
from ringfence.cli.option import at_installation
from ringfence.cli.terminal.moment import show_moment
from ringfence.cli.terminal.printing import hint, progress, say
from ringfence.cli.terminal.text import harmless
from ringfence.stores.backup import Manifest, back_up
from ringfence.stores.backup import restore as put_back
from ringfence.transport.clock import SystemClock


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@at_installation
def backup(place: Place, file: Path) -> None:
    """Copy the data folder into FILE, also while the plane runs.

    FILE holds everything: hashes of tokens, message bodies, signing keys, stored secrets with the
    key that opens them unless RINGFENCE_SECRET_KEY does. Keep it as safe as the folder itself.
    Secrets of variables, files and other stores are not in it.
    """
    with progress("copying"):
        manifest = back_up(
            place.settings.data, file, version=__version__, now_us=SystemClock().now_us()
        )
    say([harmless(f"{file}: {_told(manifest)}")])


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@at_installation
def restore(place: Place, file: Path) -> None:
    """Put the backup FILE back into a data folder that is missing or empty."""
    with progress("restoring"):
        manifest = put_back(file, place.settings.data, now_us=SystemClock().now_us())
    made = show_moment(int(manifest.created_us))
    say([harmless(f"{place.settings.data}: {_told(manifest)}, as of {made}")])
    hint("what happened after that is not in it; `ringfence up` goes on in a new log")


def _told(manifest: Manifest) -> str:
    files = len(manifest.files)
    return f"{files} file{'' if files == 1 else 's'}, {manifest.size_bytes / 1e6:.1f} MB"
