"""Secrets in a store that speaks HashiCorp Vault's HTTP API, key-value engine version 2.

Source: https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2 (read secret version).
"""

from collections.abc import Callable, Mapping
from typing import Final, final

import msgspec

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.domain.secret import FromVault
from ringfence.stores.secret.value import Secret

Request = Callable[[str, Mapping[str, str]], tuple[int, bytes]]
"""GETs a URL with these headers: status and body. Blocks; raises RingfenceError, with no header."""

_OK: Final = 200
_NOT_ALLOWED: Final = frozenset({401, 403})
_NOT_THERE: Final = 404


class _Inner(msgspec.Struct):
    data: dict[str, object] | None = None


class _Answer(msgspec.Struct):
    data: _Inner


_answer: Final = msgspec.json.Decoder(_Answer)


@final
class VaultSource:
    """One field of one secret, its newest version."""

    def __init__(
        self, name: str, origin: FromVault, token: Callable[[], Secret], request: Request
    ) -> None:
        """Take the secret's name, for errors, where it lies, and how to get there."""
        self._name = name
        self._origin = origin
        self._token = token
        self._request = request
        self.refresh_s: float | None = origin.refresh_s

    def fetch(self) -> Secret | None:
        """Raises UsageError `secret_vault`, UnavailableError `secret_vault_unavailable`."""
        origin = self._origin
        headers = {"x-vault-token": self._token().reveal(), "x-vault-request": "true"}
        if origin.namespace:
            headers["x-vault-namespace"] = origin.namespace
        status, body = self._request(f"{origin.url}/v1/{origin.mount}/data/{origin.path}", headers)
        if status in _NOT_ALLOWED:
            raise self._failed("refuses the token that it was sent")
        if status == _NOT_THERE:
            raise self._failed(f"has nothing at `{origin.mount}/{origin.path}`")
        if status != _OK:
            raise UnavailableError(
                "secret_vault_unavailable",
                f"the store of secret `{self._name}` answered with status {status}",
            )
        try:
            fields = _answer.decode(body).data.data or {}
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._failed("does not answer as a key-value engine of version 2") from None
        value = fields.get(origin.field)
        if not isinstance(value, str) or not value:
            raise self._failed(f"has no text in the field `{origin.field}`")
        return Secret(value)

    def has_changed(self) -> bool:
        """Nobody can tell without asking."""
        return False

    def _failed(self, why: str) -> UsageError:
        return UsageError(
            "secret_vault",
            f"the store of secret `{self._name}` {why}",
            help="look at `vault` of the secret",
        )
