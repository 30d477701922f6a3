"""A plane in this process: its log, its readiness, its end."""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from ringfence import __version__
from ringfence.app import interpreter
from ringfence.app.configuration import Prepared
from ringfence.app.plane import Plane
from ringfence.app.plane_process import run
from ringfence.cli.terminal.printing import progress
from ringfence.cli.terminal.style import Style
from ringfence.cli.terminal.text import harmless
from ringfence.config.settings import Settings
from ringfence.domain.error import RingfenceError
from ringfence.protocols import note
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.checkpoint.latest import latest_notes
from ringfence.telemetry import log
from ringfence.transport.core_dump import forbid_core_dumps
from ringfence.transport.open_file import allow_many_files

_PROTOCOLS = {"openai": "OpenAI", "anthropic": "Anthropic", "gemini": "Gemini"}
_OWN_USER = "an agent that runs as your own user, outside a sandbox, can read the data folder"

_LOG = logging.getLogger(__name__)


def serve(settings: Settings, log_level: str) -> None:
    """Start a plane and serve until it is told to stop. Raises RingfenceError."""
    log.setup(level=logging.getLevelNamesMapping()[log_level.upper()])
    forbid_core_dumps()  # from here on it holds secrets
    allow_many_files()
    with interpreter.runner() as runner, progress("starting the plane") as done:

        def ready(plane: Plane, prepared: Prepared) -> None:
            done()
            for one in prepared.notes:
                _LOG.warning("configuration: %s", harmless(one.render().replace("\n", "; ")))
            _announce(settings, plane, prepared)
            tell_checkpoint(settings.data)

        runner.run(run(settings, os.environ, ready))
        tell_checkpoint(settings.data)


def tell_checkpoint(folder: Path) -> None:
    """Say what to note elsewhere: the public key, and the newest checkpoint of each log.

    A checkpoint is told as origin, number of events and root.
    """
    try:
        notes = latest_notes(folder)
        key = SigningKeys(folder).statements()[-1].key
    except (OSError, RingfenceError, IndexError):
        return  # whatever is wrong was told by who signs
    if notes:
        checkpoints = [" ".join(note.parse(one).text.splitlines()[:3]) for one in notes.values()]
        told = {"key": str(key), "checkpoints": checkpoints}
        _LOG.info("checkpoints; note them elsewhere", extra=told)


def base_urls(host: str, port: int, *, is_tls: bool = False) -> dict[str, str]:
    """What a client of each protocol is given as its base URL."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared, not bound)
    name = f"[{reachable}]" if ":" in reachable else reachable
    root = f"{'https' if is_tls else 'http'}://{name}:{port}"
    return {"openai": f"{root}/v1", "anthropic": root, "gemini": root}


def announcement(
    settings: Settings, ports: tuple[int, int], agent: str, style: Style
) -> Iterator[str]:
    """What a person is told when the plane serves. `ports` are those of data and control plane."""
    urls = base_urls(settings.host, ports[0], is_tls=settings.tls_cert is not None)
    console = base_urls(settings.console_host, ports[1], is_tls=settings.tls_cert is not None)
    yield f"{style.bold('Ringfence')} {__version__} is serving; Ctrl-C ends it"
    heads = iter(("agents", "", ""))
    for name, url in urls.items():
        yield f"  {style.dim(f'{next(heads):<6}')}  {_PROTOCOLS[name]:<9}  {url}"
    yield f"  {style.dim('people')}  {'API':<9}  {console['anthropic']}/api/v1"
    yield f"  {style.dim('token ')}  ringfence agent token {harmless(agent)}"
    yield style.dim(f"  {_OWN_USER}")


def _announce(settings: Settings, plane: Plane, prepared: Prepared) -> None:
    if not sys.stderr.isatty():
        urls = base_urls(settings.host, plane.port, is_tls=settings.tls_cert is not None)
        ports = {"data_port": plane.port, "control_port": plane.control_port}
        _LOG.info("ready", extra={**ports, **urls})
        return
    organisations = prepared.configuration.organisations.values()
    agents = [name for each in organisations for name in each.agents]
    lines = announcement(
        settings,
        (plane.port, plane.control_port),
        next(iter(agents), "NAME"),
        Style.of(sys.stderr),
    )
    sys.stderr.write("".join(f"{line}\n" for line in lines))
