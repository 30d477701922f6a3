"""The plane's secrets: fetched from wherever they are, and again when they change."""

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    parted,
    secret_of,
    token_of,
)
from ringfence.enforcement.credential_injection import unsendable, unusable
from ringfence.enforcement.minted_source import MintedSource, Mints
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

_AGAIN_S: Final = 10.0
"""How long after a failure a value is fetched again."""
_FRESH_S: Final = 30.0
"""A token that was refused is got again at most so often."""
_ANSWER_BYTES: Final = 1024 * 1024
_TIMEOUT_S: Final = 10.0

_FAR: Final = (CommandSource, VaultSource, MintedSource)
"""Sources that somebody else must be asked for."""

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
    fetched_us: int = 0
    trouble: str = ""

    def trouble_with(self, value: str) -> str:
        """Why a value cannot be used where this secret goes; empty if it can."""
        if self.definition.bindings and not isinstance(self.source, MintedSource):
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
        mint: Mints | None = None,
    ) -> None:
        """Nothing is fetched yet. `request` reaches stores on the network, `mint` gets tokens."""
        self._mint = mint
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
        tokens: dict[Key, SecretUse] = {}
        for organisation in configuration.organisations.values():
            for definition in organisation.secrets.values():
                key = (organisation.name, definition.name)
                own = uses.get(key_of(*key))
                minted = (organisation.name, token_of(definition.name))
                use = uses.get(key_of(*minted))
                held[key] = self._begun(organisation, definition, plain, own)
                self._first(key, held[key], own or use)
                if use is not None:
                    tokens[minted] = use
        for key, use in tokens.items():
            definition = held[key[0], secret_of(key[1])].definition
            source = self._token_source(key[0], definition, held)
            held[key] = _Held(definition=definition, source=source, use=use)
            self._first(key, held[key], None)
        return Proposal(names=names, held=held)

    def _first(self, key: Key, held: _Held, use: SecretUse | None) -> None:
        """Fetch it the first time; `use` needs a value. Raises UsageError."""
        value, error = _fetch(held)
        if value is None and error is None and use is not None:
            raise needed(use, held.definition.name)
        if error is not None and not isinstance(error, UnavailableError):
            raise error
        self._note(held, self._held.get(key), value, error)

    def _token_source(
        self, organisation: str, definition: SecretDefinition, held: Mapping[Key, _Held]
    ) -> SecretSource:
        minting = definition.minting
        if minting is None or self._mint is None:
            raise UsageError("secret_missing", f"nothing is got with secret `{definition.name}`")

        def proofs() -> tuple[str | None, str | None]:
            value = held[organisation, definition.name].value
            other = minting.client_secret
            return value, held[organisation, other].value if other else ""

        return MintedSource(definition.name, minting, proofs, self._mint)

    def take(self, proposal: "Proposal", configuration: Configuration) -> Secrets:
        """Hold what was prepared from now on; the configuration has its ids now.

        What is stored is fetched once more: it may have changed while the rest was fetched.
        """
        ids = {each.name: each.id for each in configuration.organisations.values()}
        with self._lock:
            self._names, self._held = proposal.names, proposal.held
            for (organisation, name), each in self._held.items():
                if isinstance(each.source, StoredSource):
                    each.source = StoredSource(self.stored, ids[organisation], name)
                    self._note(each, each, *_fetch(each))
            self._get_tokens()
            return self._secrets()

    def look(self, *, is_far: bool | None = None) -> "Sequence[Fetched]":
        """Fetch again what has changed or is due; nobody has to wait for that.

        With `is_far` only what somebody else must be asked for, who may be slow; or only the rest.
        """
        now_us = self._clock.monotonic_us()
        due = [
            each
            for each in tuple(self._held.values())
            if (is_far is None or isinstance(each.source, _FAR) is is_far)
            and self._is_due(each, now_us)
        ]
        return [Fetched(each, *_fetch(each)) for each in due]

    def _is_due(self, each: _Held, now_us: int) -> bool:
        if each.due_us is not None and each.due_us <= now_us:
            return True
        return each.source.has_changed() and not each.trouble

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
            stored = [each for each in self._held.values() if isinstance(each.source, StoredSource)]
            before = [each.value for each in stored]
            for each in stored:
                self._note(each, each, *_fetch(each))
            self._get_tokens()
            return self._secrets() if before != [each.value for each in stored] else None

    def _get_tokens(self) -> None:
        """Get anew what was got with a value that is another one now."""
        for each in self._held.values():
            if isinstance(each.source, MintedSource) and each.source.has_changed():
                self._note(each, each, *_fetch(each))

    def token_refused(self, key: str) -> None:
        """Have a token got again that was not taken; one that is fresh would fare no better."""
        held = self._held.get(parted(key) or ("", ""))
        if held is None or not isinstance(held.source, MintedSource) or held.trouble:
            return
        now_us = self._clock.monotonic_us()
        if now_us - held.fetched_us >= _FRESH_S * 1e6:
            held.due_us = now_us

    def judge(self, organisation: str, name: str, value: str) -> None:
        """Refuse a value that the secret of that name could not use. Raises UsageError."""
        held = self._held.get((organisation, name))
        if held is not None and (why := held.trouble_with(value)):
            raise UsageError("secret_unusable", f"the value of secret `{name}` {why}")

    def trouble(self) -> str:
        """How many secrets cannot be had, in words that tell nothing of anybody; empty for none."""
        count = sum(1 for each in self._held.values() if each.trouble)
        return f"{count} cannot be read; `ringfence secret list` says which" if count else ""

    def standing(self, organisation: str) -> Mapping[str, str]:
        """Why secrets of an organisation, by name, have no value or an old one."""
        return {
            secret_of(name): each.trouble
            for (owner, name), each in reversed(self._held.items())
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
        held.fetched_us = self._clock.monotonic_us()
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
