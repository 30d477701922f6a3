"""Settings of the processes: where things lie and what they listen on."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict, TypeVar, Unpack
from urllib.parse import quote, urlsplit

from ringfence.domain.error import UsageError

CONFIG_NAME = "ringfence.yaml"
DEFAULT_CONFIG = f"./{CONFIG_NAME}"
DEFAULT_DATA = "./.ringfence"
DEFAULT_HOST = "127.0.0.1"
DATA_PORT = 8484
CONTROL_PORT = 8485
SQLITE = "sqlite"
DATABASE_VARIABLE = "RINGFENCE_DATABASE"

_HIGHEST_PORT = 65535
_MOST_WORKERS = 256
_MOST_MB = 1024 * 1024
_MOST_CALLS = 1_000_000
_OF_ONE_MB = 128
_SCHEMES = ("postgresql://", "postgres://")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_Given = TypeVar("_Given")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line and the environment decide; port 0 lets the system choose."""

    config: Path
    data: Path
    host: str = DEFAULT_HOST
    port: int = DATA_PORT
    console_host: str = DEFAULT_HOST
    console_port: int = CONTROL_PORT
    workers: int = 1
    database: str = field(default=SQLITE, repr=False)
    """`sqlite`, or a PostgreSQL URL, which may hold a password: it is shown nowhere (I5)."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False
    signing_key: Path | None = None
    """Where the key that signs checkpoints stands; None for its place in the data folder."""
    witnesses: tuple[str, ...] = ()
    """Files and URLs that checkpoints are copied to."""
    memory_mb: int = 512
    """What messages that are on their way may hold of each worker's memory, in MiB."""
    memory_mb_per_credential: int = _OF_ONE_MB
    calls_per_credential: int = 256
    """How many calls of one credential each worker carries at one time."""


class Options(TypedDict, total=False):
    """What the command line gave; None and what is absent fall back to environment and default."""

    config: str | None
    data: str | None
    host: str | None
    port: int | None
    console_host: str | None
    console_port: int | None
    workers: int | None
    database: str | None
    tls_cert: str | None
    tls_key: str | None
    insecure: bool
    signing_key: str | None
    witness: Sequence[str]
    memory_mb: int | None
    memory_mb_per_credential: int | None
    calls_per_credential: int | None


def resolve(environment: Mapping[str, str], **options: Unpack[Options]) -> Settings:
    """Take each setting from the options, else the environment, else the default.

    Raises UsageError `setting_invalid` for the first that cannot be used.
    """
    certificate, key = options.get("tls_cert"), options.get("tls_key")
    data = options.get("data") or environment.get("RINGFENCE_DATA") or DEFAULT_DATA
    config = options.get("config") or environment.get("RINGFENCE_CONFIG") or _config_for(Path(data))
    signing_key = options.get("signing_key") or environment.get("RINGFENCE_SIGNING_KEY")
    settings = Settings(
        config=Path(config),
        data=Path(data),
        host=_or(options.get("host"), DEFAULT_HOST),
        port=_or(options.get("port"), DATA_PORT),
        console_host=_or(options.get("console_host"), DEFAULT_HOST),
        console_port=_or(options.get("console_port"), CONTROL_PORT),
        workers=_or(options.get("workers"), 1),
        database=_database(options.get("database"), environment),
        tls_cert=Path(certificate) if certificate else None,
        tls_key=Path(key) if key else None,
        insecure=options.get("insecure", False),
        signing_key=Path(signing_key) if signing_key else None,
        witnesses=tuple(options.get("witness") or ()),
        **_allowance(options),
    )
    _check(settings)
    return settings


class _Allowance(TypedDict, total=False):
    memory_mb: int
    memory_mb_per_credential: int
    calls_per_credential: int


def _allowance(options: Options) -> _Allowance:
    """What calls may hold, as far as it is given. All together may do what one alone may."""
    found = _Allowance()
    in_all, one = options.get("memory_mb"), options.get("memory_mb_per_credential")
    calls = options.get("calls_per_credential")
    if in_all is not None:
        found["memory_mb"] = in_all
    if one is not None or in_all is not None:
        found["memory_mb_per_credential"] = (
            min(_OF_ONE_MB, in_all or _OF_ONE_MB) if one is None else one
        )
    if calls is not None:
        found["calls_per_credential"] = calls
    return found


def _config_for(data: Path) -> str:
    """A data folder that holds its own configuration, as the demo's does, is used with that."""
    own = data / CONFIG_NAME
    try:
        return str(own) if own.is_file() else DEFAULT_CONFIG
    except PermissionError:
        return DEFAULT_CONFIG  # another user's folder, which is said when it is used


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on this host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _database(given: str | None, environment: Mapping[str, str]) -> str:
    """The URL with its references filled in; neither it nor their values stand in an error."""
    text = given or environment.get(DATABASE_VARIABLE) or SQLITE
    for name in dict.fromkeys(_REFERENCE.findall(text)):
        if not environment.get(name):
            raise _invalid(
                f"environment variable `{name}`, which the database's URL names, is not set",
                f"export {name}=…",
            )
        # In a URL, what is neither letter nor digit may mean something.
        text = text.replace(f"${{{name}}}", quote(environment[name], safe=""))
    if text != SQLITE and not text.startswith(_SCHEMES):
        raise _invalid(
            "`--database` names a kind of database that is not supported",
            "give postgresql://user@host/name, or leave it out for SQLite in the data folder",
        )
    return text


def _or(given: _Given | None, default: _Given) -> _Given:
    return default if given is None else given


def _check(settings: Settings) -> None:
    for each in settings.witnesses:
        parts = urlsplit(each)
        if parts.scheme in {"http", "https"} and not parts.hostname:
            raise _invalid(f"`--witness {each}` names no host", "give a whole URL, or a file")
    if settings.data.exists() and not settings.data.is_dir():
        raise _invalid(f"data folder `{settings.data}` is not a folder", "name another with --data")
    _check_ports(settings)
    _check_tls(settings)
    _check_scale(settings)


def _check_ports(settings: Settings) -> None:
    for option, port in (("--port", settings.port), ("--console-port", settings.console_port)):
        if not 0 <= port <= _HIGHEST_PORT:
            raise _invalid(f"`{option}` cannot be {port}", f"between 0 and {_HIGHEST_PORT}")
    if settings.port == settings.console_port != 0:
        what = f"data plane and control plane cannot share port {settings.port}"
        raise _invalid(what, "choose another --console-port")


def _check_tls(settings: Settings) -> None:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise _invalid("TLS needs a certificate and its key", "give --tls-cert and --tls-key")
    for option, path in (("--tls-cert", settings.tls_cert), ("--tls-key", settings.tls_key)):
        if path is not None and not path.is_file():
            raise _invalid(f"no file `{path}`", f"check {option}")
    for option, host in (("--host", settings.host), ("--console-host", settings.console_host)):
        if not (is_loopback(host) or settings.tls_cert or settings.insecure):
            raise _invalid(
                f"`{option} {host}` would serve other machines without encryption",
                "give --tls-cert and --tls-key, or --insecure behind a proxy that adds TLS",
            )


def _check_scale(settings: Settings) -> None:
    if not 1 <= settings.workers <= _MOST_WORKERS:
        raise _invalid(f"`--workers` cannot be {settings.workers}", f"1 to {_MOST_WORKERS}")
    in_all, one = settings.memory_mb, settings.memory_mb_per_credential
    for option, given, most in (
        ("--memory-mb", in_all, _MOST_MB),
        ("--memory-mb-per-credential", one, _MOST_MB),
        ("--calls-per-credential", settings.calls_per_credential, _MOST_CALLS),
    ):
        if not 1 <= given <= most:
            raise _invalid(f"`{option}` cannot be {given}", f"1 to {most}")
    if one > in_all:
        raise _invalid(
            f"one credential cannot hold {one} MiB of the {in_all} MiB that all may hold",
            "lower --memory-mb-per-credential, or raise --memory-mb",
        )


def _invalid(what: str, advice: str) -> UsageError:
    return UsageError("setting_invalid", what, help=advice)
