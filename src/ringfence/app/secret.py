"""The plane's secrets: fetched from wherever they are, and again when they change."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, assert_never, final
from urllib.parse import urlsplit

from ringfence.config.reading import SecretUse
from ringfence.domain.error import RingfenceError, UnavailableError, UsageError
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.secret import (
    FromCommand,
    FromEnvironment,
    FromFile,
    FromStore,
    FromVault,
    SecretDefinition,
    SecretValue,
    key_of,
)
from ringfence.enforcement.credential_injection import unsendable, unusable
from ringfence.enforcement.route import origin_of
from ringfence.stores.secret import EnvironmentSecrets, Secrets, StoredSecrets, WrappingKeys
from ringfence.stores.secret.source import (
    CommandSource,
    EnvironmentSource,
    FileSource,
    SecretSource,
    StoredSource,
)
from ringfence.stores.secret.stored import SPACE
from ringfence.stores.secret.vault import Request, VaultSource
from ringfence.stores.secret.wrapping_key import VARIABLE, default_path
from ringfence.stores.state.store import StateStore
from ringfence.transport.clock import Clock
from ringfence.transport.http import Requester

_LOG = logging.getLogger(__name__)

_LOOK_S: Final = 2.0
_AGAIN_S: Final = 10.0
"""How long after a failure a value is fetched again."""
_ANSWER_BYTES: Final = 1024 * 1024
_TIMEOUT_S: Final = 10.0

Key = tuple[str, str]
"""An organisation's name and that of its secret."""


@dataclass(slots=True)
class _Held:
    """One secret as it was fetched last. `trouble` says why it could not be, in safe words."""

    definition: SecretDefinition
    source: SecretSource
    use: SecretUse | None = None
    """Where the plane itself uses it, if it does."""
    value: str | None = field(default=None, repr=False)
    due_us: int | None = None
    trouble: str = ""

    def trouble_with(self, value: str) -> str:
        """Why a value cannot be used where this secret goes; empty if it can."""
        if self.definition.bindings:
            return unusable(value)
        return unsendable(value) if self.use is not None and self.use.is_sent else ""


@final
class SecretCustody:
    """Every secret that a configuration names. Methods block; they may be called from any thread.

    INVARIANT (I5): values leave in `Secrets` alone.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        stored: StoredSecrets,
        request: Request,
        clock: Clock,
    ) -> None:
        """Nothing is fetched yet. `request` reaches stores on the network."""
        self._environment = environment
        self.stored = stored
        self._request = request
        self._clock = clock
        self._lock = threading.Lock()
        self._names: frozenset[str] = frozenset()
        self._held: dict[Key, _Held] = {}

    def prepare(
        self,
        configuration: Configuration,
        names: frozenset[str],
        uses: Mapping[str, SecretUse] = MappingProxyType({}),
    ) -> "Proposal":
        """Fetch everything that a configuration names, changing nothing yet.

        `names` are variables that hold secrets, `uses` the other secrets that the plane itself
        uses, by `key_of`. What is stored elsewhere and cannot be reached now keeps its value, or
        has none. Raises UsageError for what will not be right by itself.
        """
        plain = EnvironmentSecrets(names, self._environment)
        held: dict[Key, _Held] = {}
        for organisation in configuration.organisations.values():
            for definition in organisation.secrets.values():
                key = (organisation.name, definition.name)
                use = uses.get(key_of(*key))
                held[key] = self._begun(organisation, definition, plain, use)
                value, error = _fetch(held[key])
                if value is None and error is None and use is not None:
                    raise needed(use, definition.name)
                if error is not None and not isinstance(error, UnavailableError):
                    raise error
                self._note(held[key], self._held.get(key), value, error)
        return Proposal(names=names, held=held)

    def take(self, proposal: "Proposal", configuration: Configuration) -> Secrets:
        """Hold what was prepared from now on; the configuration has its ids now.

        What is stored is fetched once more: it may have changed while the rest was fetched.
        """
        ids = {each.name: each.id for each in configuration.organisations.values()}
        with self._lock:
            self._names, self._held = proposal.names, proposal.held
            for (organisation, name), each in self._held.items():
                if isinstance(each.definition.origin, FromStore):
                    each.source = StoredSource(self.stored, ids[organisation], name)
                    self._note(each, each, *_fetch(each))
            return self._secrets()

    def look(self) -> "Sequence[Fetched]":
        """Fetch again what has changed or is due; nobody has to wait for that."""
        now_us = self._clock.monotonic_us()
        due = [
            each
            for each in tuple(self._held.values())
            if (each.due_us is not None and each.due_us <= now_us)
            or (each.source.has_changed() and not each.trouble)
        ]
        return [Fetched(each, *_fetch(each)) for each in due]

    def apply(self, fetched: "Sequence[Fetched]") -> Secrets | None:
        """Hold what `look` has fetched, if it is still wanted; None if all values are as before."""
        with self._lock:
            wanted = [each for each in fetched if any(each.held is h for h in self._held.values())]
            before = [each.held.value for each in wanted]
            for each in wanted:
                self._note(each.held, each.held, each.value, each.error)
            return self._secrets() if before != [each.held.value for each in wanted] else None

    def stored_changed(self) -> Secrets | None:
        """Somebody has changed what is stored; None if all values are as they were."""
        with self._lock:
            stored = [
                each
                for each in self._held.values()
                if isinstance(each.definition.origin, FromStore)
            ]
            before = [each.value for each in stored]
            for each in stored:
                self._note(each, each, *_fetch(each))
            return self._secrets() if before != [each.value for each in stored] else None

    def judge(self, organisation: str, name: str, value: str) -> None:
        """Refuse a value that the secret of that name could not use. Raises UsageError."""
        held = self._held.get((organisation, name))
        if held is not None and (why := held.trouble_with(value)):
            raise UsageError("secret_unusable", f"the value of secret `{name}` {why}")

    def trouble(self) -> str:
        """How many secrets cannot be had, in words that tell nothing of anybody; empty for none."""
        count = sum(1 for each in self._held.values() if each.trouble)
        return f"{count} cannot be read" if count else ""

    def standing(self, organisation: str) -> Mapping[str, str]:
        """Why secrets of an organisation, by name, have no value or an old one."""
        return {
            name: each.trouble
            for (owner, name), each in self._held.items()
            if owner == organisation and each.trouble
        }

    def _secrets(self) -> Secrets:
        values = [
            SecretValue(organisation=organisation, name=name, value=each.value)
            for (organisation, name), each in self._held.items()
            if each.value is not None
        ]
        return EnvironmentSecrets(self._names, self._environment, values)

    def _note(
        self, held: _Held, before: _Held | None, value: str | None, error: RingfenceError | None
    ) -> None:
        """A value that was good is not lost by a later mistake."""
        if error is not None:
            if error.message != held.trouble:
                _LOG.warning("a secret cannot be read: %s", error.message)
            held.trouble = error.message
            if before is not None and before.definition.origin == held.definition.origin:
                held.value = before.value
            held.due_us = self._clock.monotonic_us() + int(_AGAIN_S * 1e6)
            return
        held.value, held.trouble, held.due_us = value, "", None
        if value is None:
            held.trouble = f"secret `{held.definition.name}` has no value"
        if held.source.refresh_s is not None:
            held.due_us = self._clock.monotonic_us() + int(held.source.refresh_s * 1e6)

    def _begun(
        self,
        organisation: Organisation,
        definition: SecretDefinition,
        plain: Secrets,
        use: SecretUse | None,
    ) -> _Held:
        return _Held(
            definition=definition,
            source=self._source(organisation.id, definition, plain),
            use=use,
        )

    def _source(
        self, organisation: str, definition: SecretDefinition, plain: Secrets
    ) -> SecretSource:
        match definition.origin:
            case FromEnvironment(variable):
                return EnvironmentSource(variable, self._environment)
            case FromFile(path):
                return FileSource(definition.name, Path(path))
            case FromCommand() as origin:
                return CommandSource(definition.name, origin, self._environment)
            case FromVault() as origin:
                token = origin.token
                return VaultSource(definition.name, origin, lambda: plain.get(token), self._request)
            case FromStore():
                return StoredSource(self.stored, organisation, definition.name)
            case _ as never:
                assert_never(never)


def _fetch(held: _Held) -> tuple[str | None, RingfenceError | None]:
    """The value as it is now, or why it cannot be had; blocks."""
    try:
        secret = held.source.fetch()
        value = None if secret is None else secret.reveal()
        why = "" if value is None else held.trouble_with(value)
        if why:
            what = f"the value of secret `{held.definition.name}` {why}"
            return None, UsageError("secret_unusable", what)
    except RingfenceError as error:
        return None, error
    return value, None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What has become of one secret. INVARIANT (I5): no repr shows it."""

    held: _Held
    value: str | None
    error: RingfenceError | None

    def __repr__(self) -> str:
        """Its name alone."""
        return f"Fetched({self.held.definition.name})"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What was fetched for a configuration that is not in force yet. INVARIANT (I5): no repr."""

    names: frozenset[str]
    held: dict[Key, _Held]

    def __repr__(self) -> str:
        """Names only."""
        return f"Proposal({sorted(self.held)})"


@final
class SecretWatch:
    """Looks after the custody for as long as the plane runs, and tells what has changed."""

    def __init__(
        self, custody: SecretCustody, changed: Callable[[Secrets], Awaitable[None]]
    ) -> None:
        """`changed` tells workers of other values; what it gives ends when they obey."""
        self._custody = custody
        self._changed = changed
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Look every few seconds."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                fetched = await asyncio.to_thread(self._custody.look)
                if fetched:
                    await (await self._tell(partial(self._custody.apply, fetched)))
            except Exception:  # noqa: BLE001 (the next round may do better)
                _LOG.exception("secrets could not be looked after; it is tried again")

    @property
    def turn(self) -> asyncio.Lock:
        """Held while values change: of two changes the later one is told last."""
        return self._turn

    async def stored_changed(self) -> Awaitable[None]:
        """Somebody has changed what is stored: tell the workers.

        They have been told when this returns; what it gives ends when they obey.
        """
        return await self._tell(self._custody.stored_changed)

    async def _tell(self, look: Callable[[], Secrets | None]) -> Awaitable[None]:
        async with self._turn:
            secrets = await asyncio.to_thread(look)
            return asyncio.sleep(0) if secrets is None else self._changed(secrets)


def needed(use: SecretUse, name: str) -> UsageError:
    """The plane itself uses a secret, and there is no value."""
    return UsageError(
        "secret_missing",
        f"{use.place}: secret `{name}` has no value, which {use.what} needs",
        help=f"`ringfence secret set {name}`",
    )


def stored_secrets(
    folder: Path,
    environment: Mapping[str, str],
    state: StateStore,
    clock: Clock,
    *,
    space: str = SPACE,
) -> StoredSecrets:
    """The encrypted store of an installation. Raises UsageError `secret_key_malformed`."""
    keys = WrappingKeys(default_path(folder), environment.get(VARIABLE, ""))
    return StoredSecrets(state.secrets, keys, clock.now_us, space=space)


def requesting(client: Requester, loop: asyncio.AbstractEventLoop) -> Request:
    """Reach stores on the network from any thread but the loop's own."""

    async def ask(url: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        parts = urlsplit(url)
        answer = await client.request(
            origin_of(url),
            b"GET",
            (parts.path or "/").encode("ascii"),
            [(name.encode(), value.encode()) for name, value in headers.items()],
            b"",
            connect_timeout_s=_TIMEOUT_S,
            idle_timeout_s=_TIMEOUT_S,
        )
        return answer.status, await answer.read(_ANSWER_BYTES)

    def request(url: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        asking = asyncio.run_coroutine_threadsafe(ask(url, headers), loop)
        try:
            return asking.result(2 * _TIMEOUT_S)
        except TimeoutError:
            asking.cancel()
            raise UnavailableError(
                "secret_vault_unavailable", "a store of secrets does not answer"
            ) from None

    return request
