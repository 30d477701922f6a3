"""The stores: which schema they have, whether they are whole, what a start would change."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ringfence.cli.doctor.finding import Finding
from ringfence.config.settings import SQLITE, Settings
from ringfence.domain.error import RingfenceError
from ringfence.stores.database import open_readable
from ringfence.stores.ledger.fence import log_ids, log_path
from ringfence.stores.ledger.schema import LEDGER
from ringfence.stores.state.database import FILE
from ringfence.stores.state.schema import STEPS

_CHECKED_BYTES = 512 * 1024 * 1024
"""Larger files take longer to check than somebody waits; `audit verify` reads everything."""


def stores(folder: Path) -> Iterator[Finding]:
    """The files of the embedded stores: their schema, and whether they are whole."""
    state = folder / FILE
    if state.exists():
        yield _state(state)
    yield from _whole(folder)
    for log in log_ids(folder):
        path = log_path(folder, log)
        try:
            open_readable(path, LEDGER).close()
        except RingfenceError as error:
            yield Finding("bad", error.message, error.help)
        else:
            yield Finding("ok", f"ledger `{path.name}` has the schema of this version")


def database(settings: Settings) -> Iterator[Finding]:
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


def _whole(folder: Path) -> Iterator[Finding]:
    """Whether SQLite finds each file's structure sound."""
    files = sorted([*folder.glob("*.db"), *folder.glob("*/*.db")])
    left = [path for path in files if path.stat().st_size > _CHECKED_BYTES]
    troubled = [(path, why) for path in files if path not in left and (why := _trouble(path))]
    for path, why in troubled:
        help_ = "restore it from a backup; `ringfence audit verify` says what of the record is lost"
        yield Finding("bad", f"`{path}` is damaged: {why}", help_)
    if files and not troubled:
        yield Finding("ok", f"{len(files) - len(left)} store files are whole")
    for path in left:
        yield Finding("note", f"`{path}` is too large to be checked here")


def _trouble(path: Path) -> str:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as opened:
            (verdict,) = opened.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return "" if verdict == "ok" else str(verdict)
