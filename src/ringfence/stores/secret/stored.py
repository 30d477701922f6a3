"""The encrypted store: values of secrets in the state store, opened with a key outside of it."""

from collections.abc import Callable, Mapping
from typing import Final, final

import msgspec

from ringfence.domain.error import UsageError
from ringfence.stores.secret.envelope import Address, Envelope, rewrap, seal, unseal
from ringfence.stores.secret.value import Secret
from ringfence.stores.secret.wrapping_key import WrappingKeys
from ringfence.stores.state.secret import SecretRecords, SecretRow

LARGEST_BYTES: Final = 64 * 1024
SPACE: Final = "secret"
"""Where the secrets that people name are kept."""


class StoredSecret(msgspec.Struct, frozen=True, kw_only=True):
    """What may be told of a stored secret: everything but its value."""

    name: str
    generation: int
    meta: Mapping[str, str]
    created_us: int
    changed_us: int
    changed_by: str


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """How the keys fit what is stored.

    `without_key` values were encrypted with a key that is not here, those named `unreadable` were
    changed or moved. Of `keys` one is needed, unless the environment gives them (`is_given`): more
    are left of a renewal that was cut short.
    """

    stored: int
    without_key: int
    unreadable: tuple[str, ...]
    keys: int
    is_given: bool

    @property
    def trouble(self) -> str:
        """What is wrong, in words; empty if nothing is."""
        if self.without_key and not self.keys:
            return f"{self.without_key} stored secrets cannot be opened: their key is not here"
        if self.without_key:
            return f"{self.without_key} of {self.stored} stored secrets need a key that is not here"
        if self.unreadable:
            names = ", ".join(f"`{name}`" for name in self.unreadable)
            return f"stored secrets were changed or do not belong here: {names}"
        return ""


@final
class StoredSecrets:
    """Values by organisation and name, within one `space` of names. Methods block.

    INVARIANT (I5): a value leaves as a `Secret` alone. INVARIANT (I7): a row that was moved to
    another organisation, or to another name, does not open.
    """

    def __init__(
        self,
        records: SecretRecords,
        keys: WrappingKeys,
        now_us: Callable[[], int],
        *,
        space: str = SPACE,
    ) -> None:
        """Take the rows, the keys and the time."""
        self._records = records
        self._keys = keys
        self._now_us = now_us
        self._space = space

    def put(
        self,
        organisation: str,
        name: str,
        value: str,
        meta: Mapping[str, str] | None = None,
        *,
        actor: str = "plane",
    ) -> StoredSecret:
        """Keep a value, in place of the one before.

        Raises UsageError `secret_empty`, `secret_too_large`, `secret_key_missing`,
        `secret_key_exposed` or `secret_key_malformed`, UnavailableError.
        """
        plain = value.encode()
        if not plain:
            raise UsageError("secret_empty", f"the value of secret `{name}` is empty")
        if len(plain) > LARGEST_BYTES:
            raise UsageError(
                "secret_too_large", f"the value of secret `{name}` is over {LARGEST_BYTES} bytes"
            )
        address = Address(
            organisation=organisation, space=self._space, name=name, meta=dict(meta or {})
        )
        while True:
            key = self._keys.current(may_make=self._records.is_empty())
            kept = self._records.put(self._row(address, seal(plain, address, key), actor))
            # INVARIANT: what was encrypted with a key that was renewed meanwhile is so no longer.
            if self._keys.current(may_make=False).id == key.id:
                return _shown(kept)

    def _row(self, address: Address, envelope: Envelope, actor: str) -> SecretRow:
        now_us = self._now_us()
        return SecretRow(
            organisation=address.organisation,
            space=address.space,
            name=address.name,
            generation=1,
            key=envelope.key_id,
            wrapped=envelope.wrapped,
            sealed=envelope.sealed,
            meta=address.meta,
            created_us=now_us,
            changed_us=now_us,
            changed_by=actor,
        )

    def get(self, organisation: str, name: str) -> tuple[Secret, Mapping[str, str]] | None:
        """A value and what is known of it; None if there is none.

        Raises UsageError `secret_unreadable` and as `put`, UnavailableError.
        """
        row = self._records.get(organisation, self._space, name)
        if row is None:
            return None
        value = unseal(_envelope(row), _address(row), self._keys.find(row.key))
        return Secret(value.decode()), row.meta

    def find(self, organisation: str, name: str) -> StoredSecret | None:
        """What may be told of one, if it is there."""
        row = self._records.get(organisation, self._space, name)
        return None if row is None else _shown(row)

    def delete(self, organisation: str, name: str) -> bool:
        """Forget a value; whether there was one."""
        return self._records.delete(organisation, self._space, name)

    def list(
        self, organisation: str, *, after: str = "", limit: int | None = None
    ) -> tuple[StoredSecret, ...]:
        """What there is of an organisation, in the order of names; no values."""
        rows = self._records.list(organisation, self._space, after=after, limit=limit)
        return tuple(_shown(row) for row in rows)

    def fit(self) -> "Fit":
        """Hold the keys against everything that is stored, of all organisations and spaces.

        Raises UsageError `secret_key_exposed` or `secret_key_malformed`, UnavailableError.
        """
        rows = self._records.all()
        without, unreadable = 0, []
        for row in rows:
            try:
                unseal(_envelope(row), _address(row), self._keys.find(row.key))
            except UsageError as error:
                if error.code == "secret_unreadable":
                    unreadable.append(row.name)
                elif error.code == "secret_key_missing":
                    without += 1
                else:
                    raise
        return Fit(
            stored=len(rows),
            without_key=without,
            unreadable=tuple(unreadable),
            keys=self._keys.count(),
            is_given=self._keys.is_given,
        )

    def renew_key(self) -> int:
        """Encrypt the keys of all secrets of all spaces with a fresh key; how many there are.

        INVARIANT: the fresh key is on disk before anything needs it, and the old ones go when
        nothing does; a crash in between is mended by doing it again. Raises as `get`.
        """
        new = self._keys.renew()

        def change(row: SecretRow) -> SecretRow:
            if row.key == new.id:
                return row
            turned = rewrap(_envelope(row), _address(row), self._keys.find(row.key), new)
            return msgspec.structs.replace(row, key=turned.key_id, wrapped=turned.wrapped)

        count = self._records.rewrite(change)
        self._keys.forget_others()
        return count


def _address(row: SecretRow) -> Address:
    return Address(organisation=row.organisation, space=row.space, name=row.name, meta=row.meta)


def _envelope(row: SecretRow) -> Envelope:
    return Envelope(key_id=row.key, wrapped=row.wrapped, sealed=row.sealed)


def _shown(row: SecretRow) -> StoredSecret:
    return StoredSecret(
        name=row.name,
        generation=row.generation,
        meta=row.meta,
        created_us=row.created_us,
        changed_us=row.changed_us,
        changed_by=row.changed_by,
    )
