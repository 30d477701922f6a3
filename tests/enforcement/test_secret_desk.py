import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ringfence.domain.alert import AlertRules
from ringfence.domain.error import UsageError
from ringfence.domain.model import Provider, ProviderProtocol
from ringfence.domain.organisation import Organisation
from ringfence.domain.secret import FromCommand, FromStore, SecretDefinition, key_of, token_of
from ringfence.domain.tool import ToolServer
from ringfence.enforcement.secret_desk import SecretDesk
from ringfence.stores.secret import StoredSecrets, WrappingKeys
from ringfence.stores.secret.wrapping_key import default_path
from ringfence.stores.state.store import open_state

VALUE = "sk-canary-0123456789abcdef"
ACME = Organisation(
    name="acme",
    id="org_1",
    secrets={
        "crm": SecretDefinition(name="crm", origin=FromStore()),
        "run": SecretDefinition(name="run", origin=FromCommand(command=("pass",))),
    },
)


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[StoredSecrets]:
    state = open_state(tmp_path)
    yield StoredSecrets(state.secrets, WrappingKeys(default_path(tmp_path)), lambda: 7)
    state.close()


def test_everybody_uses_a_value_when_setting_it_returns(stored: StoredSecrets) -> None:
    seen: list[bool] = []

    async def changed() -> None:
        seen.append(stored.get("org_1", "crm") is not None)

    async def run() -> None:
        desk = SecretDesk(stored, changed=changed)
        shown = await desk.set(ACME, "crm", VALUE, actor="cli")
        assert (shown.generation, shown.changed_us, shown.changed_by) == (1, "7", "cli")
        await desk.delete(ACME, "crm")

    asyncio.run(run())
    assert seen == [True, False]


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [("run", "secret_elsewhere", "`command`"), ("Crm", "secret_name", "lower-case")],
)
def test_what_cannot_be_stored_is_judged_before(
    stored: StoredSecrets, name: str, code: str, words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        asyncio.run(SecretDesk(stored).judge(ACME, name, VALUE, is_known=False))
    assert (caught.value.code, words in caught.value.message + caught.value.help) == (code, True)


def test_what_was_stored_before_its_secret_came_from_elsewhere_is_not_shown_as_its_value(
    stored: StoredSecrets,
) -> None:
    stored.put("org_1", "run", VALUE)
    listed = asyncio.run(SecretDesk(stored).list(ACME))
    assert [(each.name, each.generation) for each in listed] == [("crm", None), ("run", None)]
    assert VALUE not in repr(listed)


def test_what_the_plane_itself_uses_a_secret_for_is_listed(stored: StoredSecrets) -> None:
    house = Provider(
        name="house",
        protocol=ProviderProtocol.OPENAI,
        base_url="http://a.example",
        credential=key_of("acme", "crm"),
    )
    server = ToolServer(
        name="t", command=("t",), environment=(("A", "Bearer ${acme/crm}"), ("B", "${KEY}"))
    )
    alerts = AlertRules(webhook="http://a.example", credential=key_of("acme", token_of("run")))
    acme = replace(ACME, providers={"house": house}, tools={"t": server}, alerts=alerts)
    listed = asyncio.run(SecretDesk(stored).list(acme))
    assert [(each.name, each.uses) for each in listed] == [
        ("crm", ["provider house", "tool server t"]),
        ("run", ["alerts"]),
    ]
