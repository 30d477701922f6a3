"""Stored secrets as people change them: values go in, and never come out again."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol, final

import msgspec

from ringfence.domain.error import UsageError
from ringfence.domain.organisation import Organisation
from ringfence.domain.secret import (
    FromCommand,
    FromEnvironment,
    FromFile,
    FromStore,
    FromVault,
    SecretOrigin,
    key_of,
    token_of,
)
from ringfence.enforcement.tool_dispatch import secrets_of
from ringfence.stores.secret import StoredSecret, StoredSecrets

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_ORIGINS: Final[Mapping[type[SecretOrigin], str]] = {
    FromEnvironment: "environment",
    FromFile: "file",
    FromCommand: "command",
    FromStore: "stored",
    FromVault: "vault",
}


class SecretView(msgspec.Struct, frozen=True, kw_only=True):
    """What people are shown of a secret; never its value.

    `origin` is the key of the configuration that says where it comes from, empty for one that is
    stored and not configured. `hosts` and `agents` say where it goes and who may use it, `uses`
    what the plane itself needs it for. The rest is of stored ones; times are UTC microseconds.
    `trouble` says why it has no value, or an old one.
    """

    name: str
    origin: str = ""
    hosts: list[str] = []
    uses: list[str] = []
    agents: list[str] = []
    generation: int | None = None
    changed_us: str | None = None
    changed_by: str | None = None
    trouble: str = ""


class Custody(Protocol):
    """Whoever holds the values that are in use."""

    def judge(self, organisation: str, name: str, value: str, /) -> None:
        """Refuse a value that the secret of that name could not use. Raises UsageError."""

    def standing(self, organisation: str, /) -> Mapping[str, str]:
        """Why secrets of an organisation, by name, have no value or an old one."""


class NobodysCustody:
    """No plane is running: nothing is in use."""

    def judge(self, organisation: str, name: str, value: str, /) -> None:
        """Nothing is known against it."""

    def standing(self, organisation: str, /) -> Mapping[str, str]:
        """Nothing is known."""
        del organisation
        return {}


async def nobody() -> None:
    """Nobody is running who would have to be told."""


@final
class SecretDesk:
    """Sets, lists and removes stored secrets of one organisation at a time (I7)."""

    def __init__(
        self,
        stored: StoredSecrets,
        custody: Custody | None = None,
        changed: Callable[[], Awaitable[None]] = nobody,
    ) -> None:
        """`changed` returns when whatever was stored before is used by nobody any more."""
        self._stored = stored
        self._custody = custody or NobodysCustody()
        self._changed = changed

    async def list(self, organisation: Organisation) -> Sequence[SecretView]:
        """What is configured and what is stored, by name. Raises UnavailableError."""
        stored = await asyncio.to_thread(self._stored.list, organisation.id)
        kept = {each.name: each for each in stored}
        standing = self._custody.standing(organisation.name)
        names = sorted(kept.keys() | organisation.secrets.keys())
        return [_view(organisation, name, kept.get(name), standing.get(name, "")) for name in names]

    async def judge(
        self, organisation: Organisation, name: str, value: str, *, is_known: bool
    ) -> None:
        """Refuse what could not be set; with `is_known`, also what is not there yet.

        Raises UsageError `secret_name`, `secret_elsewhere`, `secret_unknown` or `secret_unusable`.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(
                "secret_name",
                "that cannot be the name of a secret",
                help="use lower-case letters, digits, `_` and `-`, at most 64, a letter first",
            )
        definition = organisation.secrets.get(name)
        if definition is not None and not isinstance(definition.origin, FromStore):
            raise UsageError(
                "secret_elsewhere",
                f"secret `{name}` is not stored: the configuration takes it from its"
                f" `{_ORIGINS[type(definition.origin)]}`",
                help="change it there, or write `stored: true`",
            )
        if is_known:
            await self._require(organisation, name)
        self._custody.judge(organisation.name, name, value)

    async def set(
        self, organisation: Organisation, name: str, value: str, *, actor: str
    ) -> SecretView:
        """Keep a value and have everybody use it. `judge` it first."""
        kept = await asyncio.to_thread(
            lambda: self._stored.put(organisation.id, name, value, actor=actor)
        )
        await self._changed()
        return _view(organisation, name, kept, "")

    async def require(self, organisation: Organisation, name: str) -> None:
        """Raises UsageError `secret_unknown` if nothing is stored under that name."""
        await self._require(organisation, name)

    async def delete(self, organisation: Organisation, name: str) -> None:
        """Forget a value and have nobody use it any more."""
        await asyncio.to_thread(self._stored.delete, organisation.id, name)
        await self._changed()

    async def renew_key(self) -> int:
        """Encrypt everything of every organisation with another key; how many secrets there are."""
        return await asyncio.to_thread(self._stored.renew_key)

    async def _require(self, organisation: Organisation, name: str) -> None:
        if await asyncio.to_thread(self._stored.find, organisation.id, name) is None:
            raise UsageError(
                "secret_unknown",
                f"no secret named `{name}` is stored",
                help="`ringfence secret list` shows those that are",
            )


def _view(
    organisation: Organisation, name: str, stored: StoredSecret | None, trouble: str
) -> SecretView:
    definition = organisation.secrets.get(name)
    agents = organisation.agents.values()
    if definition is not None and not isinstance(definition.origin, FromStore):
        stored = None
    bindings = definition.bindings if definition is not None else ()
    return SecretView(
        name=name,
        origin="" if definition is None else _ORIGINS[type(definition.origin)],
        hosts=sorted({f"{each.host}:{each.port}" for each in bindings}),
        uses=[use for use, key in _uses(organisation) if key in _keys(organisation.name, name)],
        agents=sorted(each.name for each in agents if name in each.secrets),
        generation=None if stored is None else stored.generation,
        changed_us=None if stored is None else str(stored.changed_us),
        changed_by=None if stored is None else stored.changed_by,
        trouble=trouble,
    )


def _keys(organisation: str, name: str) -> tuple[str, str]:
    """What a value, and a token that is got with it, are called where the plane uses them."""
    return key_of(organisation, name), key_of(organisation, token_of(name))


def _uses(organisation: Organisation) -> Iterator[tuple[str, str | None]]:
    """What the plane itself needs a secret for, and which."""
    for provider in organisation.providers.values():
        yield f"provider {provider.name}", provider.credential
    for server in organisation.tools.values():
        for key in secrets_of(server):
            yield f"tool server {server.name}", key
    yield "alerts", organisation.alerts.credential
    yield "approvals", organisation.approvals.credential
    if organisation.approvals.signing_key != organisation.approvals.credential:
        yield "approvals", organisation.approvals.signing_key
