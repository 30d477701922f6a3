"""A PostgreSQL server of our own, in a temporary folder and on a Unix socket; or `DATABASE_URL`."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import quote, urlsplit, urlunsplit

from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.connection import connect

_PLACES = (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/bin"))
TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND application_name = 'ringfence'"
    " AND datname = current_database()"
)
"""Ends every other connection of ours, as a restart of the server or of a firewall would."""

_ATTEMPTS, _PAUSE_S = 500, 0.02
_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "autovacuum": "off",
    "max_wal_size": "128MB",
}


def missing() -> str:
    """Why no server can be had; empty if one can."""
    return "" if os.environ.get("DATABASE_URL") else own_missing()


def own_missing() -> str:
    """Why no server of our own can be started; empty if one can."""
    if _binary("postgres") is None or _binary("initdb") is None:
        return "no PostgreSQL server on this machine: install it, or set DATABASE_URL"
    if os.geteuid() == 0 and _owner() is None:
        return "PostgreSQL does not run as root, and there is no user `postgres`"
    return ""


def _binary(name: str) -> str | None:
    path = os.pathsep.join([*map(str, _PLACES), os.environ.get("PATH", "")])
    return shutil.which(name, path=path)


def _owner() -> int | None:
    try:
        return pwd.getpwnam("postgres").pw_uid
    except KeyError:
        return None


class Server:
    """A running server; `stop`, `kill` and `start` may alternate."""

    def __init__(self, folder: Path, *, is_durable: bool) -> None:
        self._folder = folder
        self._user = _owner() if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(folder, self._user, -1)
        self._settings = _SETTINGS if is_durable else {**_SETTINGS, "fsync": "off"}
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "--no-sync", "--auth=trust", "-U", "ringfence", "-E", "UTF8")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://ringfence@/postgres?host={quote(str(self._folder), safe='')}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        settings = [f"-c{name}={value}" for name, value in self._settings.items()]
        command = [self._find("postgres"), "-D", self._data, "-k", str(self._folder), *settings]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, user=self._user, cwd=self._folder
            )
        self._await()

    def stop(self) -> None:
        """At once, but in order: what is committed is on disk."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """As `kill -9` of the server would: it recovers when it starts."""
        self._end(signal.SIGQUIT)

    def demand_passwords(self) -> None:
        """From now on everybody needs one."""
        (Path(self._data) / "pg_hba.conf").write_text("local all all scram-sha-256\n")
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)
        time.sleep(0.2)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _find(self, name: str) -> str:
        found = _binary(name)
        assert found is not None
        return found

    def _run(self, name: str, *arguments: str) -> None:
        command = [self._find(name), *arguments, "-D", self._data]
        done = subprocess.run(
            command, user=self._user, cwd=self._folder, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr.decode()

    def _await(self) -> None:
        command = [self._find("pg_isready"), "-q", "-h", str(self._folder), "-t", "1"]
        for _ in range(_ATTEMPTS):
            if subprocess.run(command, check=False, timeout=60).returncode == 0:
                return
            time.sleep(_PAUSE_S)
            assert self._process is not None
            assert self._process.poll() is None, (self._folder / "log").read_text()
        raise AssertionError((self._folder / "log").read_text())


@contextmanager
def serving(*, is_durable: bool = False) -> Iterator[Server]:
    """A server of its own, gone with everything in it at the end."""
    # Not pytest's own folder: its user must reach it, and a Unix socket's path is short.
    with tempfile.TemporaryDirectory(prefix="ringfence-pg-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        with Server(Path(folder), is_durable=is_durable) as server:
            yield server


@contextmanager
def database(url: str, name: str) -> Iterator[str]:
    """A database of its own on a server that others use too, as a URL that leads to it."""
    execute(url, f"CREATE DATABASE {name}")
    parts = urlsplit(url)
    try:
        yield urlunsplit(parts._replace(path=f"/{name}"))
    finally:
        execute(url, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def schema(url: str, name: str) -> Iterator[str]:
    """An empty schema of its own in a database, as a URL that leads to it."""
    execute(url, f"CREATE SCHEMA {name}")
    mark = "&" if "?" in url else "?"
    try:
        yield f"{url}{mark}options={quote(f'-csearch_path={name}', safe='')}"
    finally:
        execute(url, f"DROP SCHEMA {name} CASCADE")


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run one statement on a connection of its own; the rows, if it gives any."""
    with connect(Address.parse(url)) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []
