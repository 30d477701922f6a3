from collections.abc import Mapping

import pytest

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.domain.secret import FromVault
from ringfence.stores.secret.value import Secret
from ringfence.stores.secret.vault import VaultSource

TOKEN = "hvs.canary-of-a-token-012345"
VALUE = "canary-0123456789"
ORIGIN = FromVault(
    url="https://vault.example:8200",
    mount="kv/team",
    path="crm/prod",
    field="token",
    token="VAULT_TOKEN",
    namespace="acme",
)
# As the API's documentation shows it, with other values.
ANSWER = b"""{"request_id":"a","lease_id":"","renewable":false,"lease_duration":0,"data":{"data":
{"token":"canary-0123456789","port":5432},"metadata":{"created_time":"2018-03-22T02:24:06.945319214Z",
"custom_metadata":null,"deletion_time":"","destroyed":false,"version":2}},"warnings":null}"""


class Vault:
    def __init__(self, status: int = 200, body: bytes = ANSWER) -> None:
        self.status = status
        self.body = body
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    def __call__(self, url: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        self.asked.append((url, headers))
        return self.status, self.body


def source(vault: Vault, origin: FromVault = ORIGIN) -> VaultSource:
    return VaultSource("crm", origin, lambda: Secret(TOKEN), vault)


def test_a_field_is_read_with_the_token() -> None:
    vault = Vault()
    found = source(vault).fetch()
    assert found is not None
    assert found.reveal() == VALUE
    [(url, headers)] = vault.asked
    assert url == "https://vault.example:8200/v1/kv/team/data/crm/prod"
    assert headers == {
        "x-vault-token": TOKEN,
        "x-vault-request": "true",
        "x-vault-namespace": "acme",
    }
    assert source(vault).refresh_s == 300
    assert not source(vault).has_changed()


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (403, b'{"errors":["permission denied"]}', "refuses the token"),
        (401, b"", "refuses the token"),
        (404, b'{"errors":[]}', "has nothing at `kv/team/crm/prod`"),
        (200, b"<html>", "does not answer as a key-value engine"),
        (200, b'{"data":{"token":"version-one"}}', "has no text in the field `token`"),
        (200, b'{"data":{"data":null,"metadata":{"destroyed":true}}}', "has no text in the field"),
        (200, b'{"data":{"data":{"token":5}}}', "has no text in the field"),
        (200, b'{"data":{"data":{"token":""}}}', "has no text in the field"),
    ],
)
def test_what_is_wrong_is_said_without_token_or_value(status: int, body: bytes, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        source(Vault(status, body)).fetch()
    assert (caught.value.code, why in caught.value.message) == ("secret_vault", True)
    assert TOKEN not in f"{caught.value.message}{caught.value.help}"
    assert "version-one" not in caught.value.message


@pytest.mark.parametrize("status", [429, 473, 500, 503, 301])
def test_a_store_that_cannot_answer_now_may_later(status: int) -> None:
    with pytest.raises(UnavailableError) as caught:
        source(Vault(status)).fetch()
    assert caught.value.code == "secret_vault_unavailable"
