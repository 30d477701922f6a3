"""The encrypted store of secrets: whether its key is here, fits, and is its owner's alone."""

from collections.abc import Iterator, Mapping
from typing import Final

from ringfence.app.secret_fit import standing_store
from ringfence.cli.doctor.finding import Finding
from ringfence.config.settings import SQLITE, Settings
from ringfence.domain.error import RingfenceError, UnavailableError

_LOST: Final = (
    "put the right key back (a backup of the data folder has it), or set these secrets again"
    " (`ringfence secret list` names them)"
)
_AGAIN: Final = "renew it again: `ringfence secret rotate --key`"


def secrets(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Nothing where nothing is stored."""
    try:
        with standing_store(settings, environment) as stored:
            fit = None if stored is None else stored.fit()
    except ImportError:
        return  # said of the database itself
    except RingfenceError as error:
        if settings.database != SQLITE and isinstance(error, UnavailableError):
            return  # likewise
        yield Finding("bad", error.message, error.help)
        return
    if fit is None or not fit.stored:
        return
    if fit.trouble:
        yield Finding("bad", fit.trouble, _LOST)
    elif fit.keys > 1 and not fit.is_given:
        what = f"a renewal of the key of {fit.stored} stored secrets was cut short; all open"
        yield Finding("note", what, _AGAIN)
    else:
        yield Finding("ok", f"the key of stored secrets opens all of them ({fit.stored})")
