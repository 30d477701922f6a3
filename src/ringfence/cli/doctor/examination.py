"""What the doctor looks at: each examination says what it found and changes nothing."""

import shutil
import socket
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ringfence.api import local
from ringfence.cli.doctor.clock import clock_and_folder, clock_and_providers
from ringfence.cli.doctor.finding import Finding
from ringfence.cli.doctor.key import keys
from ringfence.cli.doctor.sandbox import sandboxes
from ringfence.cli.doctor.secret import secrets
from ringfence.cli.doctor.store import database, stores
from ringfence.config.loading import load
from ringfence.config.problem import ConfigurationError
from ringfence.config.settings import Settings
from ringfence.domain.error import RingfenceError, UsageError
from ringfence.domain.organisation import Configuration

_PYTHON = (3, 11)
_OTHERS = 0o077
_MIB = 1024 * 1024
_LITTLE_BYTES, _LEAST_BYTES = 1024 * _MIB, 100 * _MIB
_CONNECT_S = 5.0
_PORTS = {"http": 80, "https": 443}
_OWN_USER = (
    "an agent that runs as your own user, outside a sandbox, can read the data folder",
    "start agents that you do not trust with `ringfence run`, or as another user",
)


def examine(
    settings: Settings, environment: Mapping[str, str], *, is_network: bool = False
) -> Sequence[Finding]:
    """Look at everything, one thing after the other."""
    try:
        local.check_own(settings.data)
    except UsageError as error:
        return [_python(), Finding("bad", error.message, error.help), *sandboxes()]
    findings = [_python(), *_folder(settings.data), *stores(settings.data), *database(settings)]
    findings += [
        *keys(settings),
        *secrets(settings, environment),
        clock_and_folder(settings.data),
        _disk(settings.data),
    ]
    findings += [*_plane(settings), *sandboxes()]
    try:
        loaded = load(settings.config, environment)
    except ConfigurationError as error:
        findings.append(Finding("bad", f"{settings.config} cannot be used", error.render()))
    else:
        notes = "\n".join(note.render() for note in loaded.notes)
        findings.append(Finding("note" if notes else "ok", f"{settings.config} is good", notes))
        if is_network:
            findings += _providers(loaded.configuration)
            findings += clock_and_providers(loaded.configuration)
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
        for path in (folder, *folder.glob("*.db"), *folder.glob("*/*.db"), *folder.glob("keys/*"))
        if path.stat().st_mode & _OTHERS
    ]
    for path in open_to_others:
        yield Finding("bad", f"`{path}` is open to other users", f"chmod go= {path}")
    if not open_to_others:
        yield Finding("ok", f"data folder `{folder}` is its owner's alone")


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
