"""Stored secrets held against configuration and keys, without a plane, and changing nothing."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from ringfence.app.configuration import Prepared
from ringfence.app.secret import needed, stored_secrets
from ringfence.app.storage import storage_of
from ringfence.config.problem import Problem
from ringfence.config.settings import SQLITE, Settings
from ringfence.domain.error import UsageError
from ringfence.domain.secret import FromStore, key_of
from ringfence.stores.secret import StoredSecrets
from ringfence.stores.state.database import is_of_this_release
from ringfence.stores.state.store import StateStore
from ringfence.transport.clock import SystemClock


@contextmanager
def standing_store(
    settings: Settings, environment: Mapping[str, str]
) -> Iterator[StoredSecrets | None]:
    """The encrypted store as it is; None if the next start would make it or bring it up to date.

    Raises RingfenceError.
    """
    with _state(settings) as state:
        if state is None:
            yield None
        else:
            yield stored_secrets(settings.data, environment, state, SystemClock())


def unmet(
    settings: Settings, environment: Mapping[str, str], prepared: Prepared
) -> tuple[Problem, ...]:
    """What the plane itself needs of the encrypted store and could not have at a start."""
    wanted = {
        (organisation.name, definition.name): use
        for organisation in prepared.configuration.organisations.values()
        for definition in organisation.secrets.values()
        if isinstance(definition.origin, FromStore)
        and (use := prepared.secret_uses.get(key_of(organisation.name, definition.name)))
    }
    if not wanted:
        return ()
    found: list[Problem] = []
    with _state(settings) as state:
        if state is None:
            return ()
        stored = stored_secrets(settings.data, environment, state, SystemClock())
        known = state.configurations.known(prepared.configuration).organisations
        for (organisation, name), use in wanted.items():
            home = known[organisation].id
            try:
                if not home or stored.get(home, name) is None:
                    raise needed(use, name)
            except UsageError as error:
                what = error.message.removeprefix(f"{use.place}: ")
                found.append(Problem(use.place, what, error.help))
    return tuple(found)


@contextmanager
def _state(settings: Settings) -> Iterator[StateStore | None]:
    is_file = settings.database == SQLITE
    if is_file and not is_of_this_release(settings.data):
        yield None
        return
    storage = storage_of(settings)
    if not is_file and not _is_of_this_release(settings.database):
        yield None
        return
    with closing(storage.state()) as state:
        yield state


def _is_of_this_release(database: str) -> bool:
    from ringfence.stores.postgresql.address import Address  # noqa: PLC0415 (its driver is an extra)
    from ringfence.stores.postgresql.condition import look  # noqa: PLC0415 (likewise)

    found = look(Address.parse(database))
    return not found.steps and not found.newer
