"""What the doctor looks at: each examination says what it found and changes nothing."""

import shutil
import socket
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ringfence.api import local
from ringfence.config.loading import load
from ringfence.config.problem import ConfigurationError
from ringfence.config.settings import SQLITE, Settings
from ringfence.domain.error import RingfenceError
from ringfence.domain.organisation import Configuration
from ringfence.stores.database import open_readable
from ringfence.stores.ledger.fence import log_ids, log_path
from ringfence.stores.ledger.schema import LEDGER
from ringfence.stores.state.database import FILE
from ringfence.stores.state.schema import STEPS
from ringfence.transport.clock import SystemClock

_PYTHON = (3, 11)
_OTHERS = 0o077
_MIB = 1024 * 1024
_LITTLE_BYTES, _LEAST_BYTES = 1024 * _MIB, 100 * _MIB
_CONNECT_S = 5.0
_EARLIEST_US = 1_767_225_600_000_000  # 2026-01-01, before which this program was not written
_DRIFT_US = 60_000_000
_PORTS = {"http": 80, "https": 443}
_OWN_USER = (
    "an agent that runs as your own user, outside a sandbox, can read the data folder",
    "run agents that you do not trust as another user",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found: all is well, worth knowing, or something that keeps the plane from working.

    `help` may have several lines.
    """

    level: Literal["ok", "note", "bad"]
    what: str
    help: str = ""


def examine(
    settings: Settings, environment: Mapping[str, str], *, is_network: bool = False
) -> Sequence[Finding]:
    """Look at everything, one thing after the other."""
    findings = [_python(), *_folder(settings.data), *_stores(settings.data)]
    findings += _database(settings)
    findings += [_clock(settings.data), _disk(settings.data), *_plane(settings)]
    try:
        loaded = load(settings.config, environment)
    except ConfigurationError as error:
        findings.append(Finding("bad", f"{settings.config} cannot be used", error.render()))
    else:
        notes = "\n".join(note.render() for note in loaded.notes)
        findings.append(Finding("note" if notes else "ok", f"{settings.config} is good", notes))
        if is_network:
            findings += _providers(loaded.configuration)
    return [*findings, Finding("note", *_OWN_USER)]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < _PYTHON:
        return Finding("bad", f"Python {version} is too old", "install Python 3.11 or later")
    return Finding("ok", f"Python {version}, SQLite {sqlite3.sqlite_version}")


def _folder(folder: Path) -> Iterator[Finding]:
    if not folder.exists():
        yield Finding("ok", f"no data folder `{folder}` yet; it is made at the first start")
        return
    open_to_others = [
        path
        for path in (folder, *folder.glob("*.db"), *folder.glob("*/*.db"))
        if path.stat().st_mode & _OTHERS
    ]
    for path in open_to_others:
        yield Finding("bad", f"`{path}` is open to other users", f"chmod go= {path}")
    if not open_to_others:
        yield Finding("ok", f"data folder `{folder}` is its owner's alone")


def _stores(folder: Path) -> Iterator[Finding]:
    state = folder / FILE
    if state.exists():
        yield _state(state)
    for log in log_ids(folder):
        path = log_path(folder, log)
        try:
            open_readable(path, LEDGER).close()
        except RingfenceError as error:
            yield Finding("bad", error.message, error.help)
        else:
            yield Finding("ok", f"ledger `{path.name}` has the schema of this version")


def _database(settings: Settings) -> Iterator[Finding]:
    """The database, which a start would bring up to date: this is the dry run of it."""
    if settings.database == SQLITE:
        return
    try:
        # The driver is an extra.
        from ringfence.stores.postgresql.address import Address  # noqa: PLC0415
        from ringfence.stores.postgresql.condition import look  # noqa: PLC0415

        address = Address.parse(settings.database)
        found = look(address)
    except ImportError:
        help_ = "pip install 'ringfence[postgresql]'"
        yield Finding("bad", "the driver for PostgreSQL is not installed", help_)
        return
    except RingfenceError as error:
        yield Finding("bad", error.message, error.help)
        return
    yield Finding("ok", f"PostgreSQL {found.server} answers at `{address.shown}`")
    for store, (version, newest) in sorted(found.schemas.items()):
        what = f"{store} in the database has schema {version} of {newest}"
        if store in found.newer:
            yield Finding("bad", what, "start the version of Ringfence that wrote it")
        elif store in found.steps:
            steps = ", ".join(map(str, found.steps[store]))
            yield Finding("note", what, f"the next start would bring it to {steps}")
        else:
            yield Finding("ok", what)
    if not found.is_durable:
        what = "the database may lose what it has committed"
        yield Finding("bad", what, "set fsync and full_page_writes to on in postgresql.conf")
    if not found.is_primary:
        yield Finding("bad", "the database cannot be written", "name the primary server")


def _state(path: Path) -> Finding:
    newest = 1 + len(STEPS)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            (found,) = database.execute("SELECT max(version) FROM schema_version").fetchone()
    except sqlite3.Error as error:
        return Finding("bad", f"state store `{path}` cannot be read: {error}")
    if found is None or found > newest:
        what = f"state store `{path}` has schema {found}, this version knows {newest}"
        return Finding("bad", what, "start the version of Ringfence that wrote it")
    older = "" if found == newest else "; the next start brings it up to date"
    return Finding("ok", f"state store has schema {found} of {newest}{older}")


def _clock(folder: Path) -> Finding:
    now_us = SystemClock().now_us()
    written = [path.stat().st_mtime_ns // 1000 for path in folder.glob("*.db*")]
    if now_us < _EARLIEST_US:
        return Finding("bad", "the clock is years behind", "set it: budgets and records need it")
    if written and max(written) > now_us + _DRIFT_US:
        what = "the clock stands before the last write to the data folder"
        return Finding("bad", what, "set it: windows of budgets would start again")
    return Finding("ok", "the clock agrees with the data folder")


def _disk(folder: Path) -> Finding:
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    what = f"{free // _MIB:,} MiB free for the data folder"
    if free < _LEAST_BYTES:
        return Finding("bad", what, "calls are refused when the record cannot be written")
    return Finding("note" if free < _LITTLE_BYTES else "ok", what)


def _plane(settings: Settings) -> Iterator[Finding]:
    try:
        is_running = local.is_answering(local.address(settings.data))
    except RingfenceError as error:
        yield Finding("bad", error.message, error.help)
        return
    if is_running:
        yield Finding("ok", f"a plane is running with data folder `{settings.data}`")
        return
    yield Finding("ok", f"no plane is running with data folder `{settings.data}`")
    yield _port(settings.host, settings.port, "--port")
    yield _port(settings.console_host, settings.console_port, "--console-port")


def _port(host: str, port: int, option: str) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            what = f"{host}:{port} cannot be used: {(error.strerror or '').lower()}"
            return Finding("bad", what, f"stop what uses it, or choose another with {option}")
    return Finding("ok", f"{host}:{port} is free")


def _providers(configuration: Configuration) -> Iterator[Finding]:
    for organisation in configuration.organisations.values():
        for provider in organisation.providers.values():
            url = urlsplit(provider.base_url)
            where = (url.hostname or "", url.port or _PORTS[url.scheme])
            name = f"provider `{provider.name}` at {where[0]}:{where[1]}"
            try:
                socket.create_connection(where, timeout=_CONNECT_S).close()
            except OSError as error:
                yield Finding("note", f"{name} is not reachable", str(error.strerror or error))
            else:
                yield Finding("ok", f"{name} is reachable")
