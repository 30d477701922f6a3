"""Where a PostgreSQL database is: read from a URL, shown without its password."""

from typing import Final, final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ringfence.domain.error import UsageError

_CONNECT_S: Final = 5
"""Each host of the address gets that long; planes and commands start or say why not."""

# A server that vanished is noticed within 15 s also while nothing is sent (libpq's own defaults
# leave that to the system: two hours on Linux); what is sent and not taken, within 10 s.
_ALIVE: Final[dict[str, str | int | None]] = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,
}


@final
class Address:
    """A database's address. INVARIANT (I5): only `conninfo` holds the password."""

    __slots__ = ("_conninfo", "shown")

    def __init__(self, conninfo: str, shown: str) -> None:
        """Use `parse`."""
        self._conninfo = conninfo
        self.shown = shown

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read `postgresql://user:password@host:port/name?option=…` (libpq, chapter 34.1).

        What the URL leaves out libpq takes from its own variables and files (`PGPASSFILE`…).
        Raises UsageError `setting_invalid`; the URL stands in no text of it.
        """
        try:
            given = conninfo_to_dict(url)
        except psycopg.Error:
            raise _malformed() from None  # libpq's own text quotes parts of the URL
        settled = _ALIVE | {"connect_timeout": _CONNECT_S, "application_name": "ringfence"}
        return cls(make_conninfo("", **(settled | given)), _show(given))

    def conninfo(self) -> str:
        """What libpq connects with; call this only to connect."""
        return self._conninfo

    def __repr__(self) -> str:
        """Without the password."""
        return f"Address({self.shown})"


def _show(given: dict[str, str | int | None]) -> str:
    user, host = given.get("user"), str(given.get("host") or "")
    port, name = given.get("port"), given.get("dbname")
    if host.startswith("/"):  # the folder of a Unix socket
        host = ""
    who = f"{user}@" if user else ""
    return f"postgresql://{who}{host}{f':{port}' if port else ''}/{name or user or ''}"


def _malformed() -> UsageError:
    return UsageError(
        "setting_invalid",
        "the database's URL cannot be read",
        help="it looks like postgresql://user@host:5432/name; in a password, write every character"
        " that is neither letter nor digit as %XX",
    )
