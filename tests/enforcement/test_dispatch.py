import asyncio

import pytest
from tests.gateways.world import MemoryLedger, Providers, answer_chat, model, organisation, provider

from ringfence.domain.error import UnsentError
from ringfence.domain.model import ProviderProtocol
from ringfence.enforcement.dispatch import Dispatcher
from ringfence.enforcement.route import Leg, compile_routes
from ringfence.stores.secret import EnvironmentSecrets
from ringfence.transport.http import Headers

KEY, NEXT = "sk-first-0123456789", "sk-second-0123456789"
SECRETS = EnvironmentSecrets(frozenset({"KEY"}), {"KEY": KEY})


def leg(protocol: ProviderProtocol, **more: object) -> Leg:
    house = provider("house", protocol, **more)
    config = organisation(providers={"house": house}, models={"small": model("small")})
    return compile_routes(config)["small"].legs[0]


class _Waiter:
    """A `Taker` that keeps the answer."""

    def __init__(self) -> None:
        self.told: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    def answered(self, upstream: object) -> None:
        self.told.set_result(upstream)

    def unanswered(self, error: Exception) -> None:
        self.told.set_exception(error)


async def send(dispatcher: Dispatcher, to: Leg, headers: Headers = ()) -> None:
    waiter = _Waiter()
    dispatcher.send(dispatcher.prepare(to, b"/x", headers), b"{}", waiter)
    await waiter.told


class _Always(MemoryLedger):
    """Claims that an intent is open: this test has no path above the dispatcher."""

    def actions(self, kind: object) -> set[str]:
        return {"act_1"} if getattr(kind, "__name__", "") == "Intent" else set()


@pytest.mark.parametrize(
    ("protocol", "more", "header", "value"),
    [
        (ProviderProtocol.OPENAI, {}, b"authorization", b"Bearer " + KEY.encode()),
        (ProviderProtocol.ANTHROPIC, {}, b"x-api-key", KEY.encode()),
        (ProviderProtocol.GEMINI, {}, b"x-goog-api-key", KEY.encode()),
        (ProviderProtocol.OPENAI, {"credential_header": "Api-Key"}, b"api-key", KEY.encode()),
    ],
)
def test_each_protocol_gets_its_credential_in_its_header(
    protocol: ProviderProtocol, more: dict[str, object], header: bytes, value: bytes
) -> None:
    providers = Providers(_Always(), answer_chat)
    dispatcher = Dispatcher(providers, SECRETS)
    asyncio.run(send(dispatcher, leg(protocol, **more), [(b"accept", b"*/*")]))
    [sent] = providers.sent
    assert sent.headers[header] == value
    assert set(sent.headers) == {b"host", b"accept", header}


def test_a_provider_without_a_credential_gets_none() -> None:
    providers = Providers(_Always(), answer_chat)
    keyless = leg(ProviderProtocol.OPENAI, credential=None)
    dispatcher = Dispatcher(providers, SECRETS)
    asyncio.run(send(dispatcher, keyless))
    assert set(providers.sent[0].headers) == {b"host"}
    assert not dispatcher.credential_scan(keyless).finds(b"anything")


def test_secrets_are_replaced_whole() -> None:
    providers = Providers(_Always(), answer_chat)
    dispatcher = Dispatcher(providers, SECRETS)
    house = leg(ProviderProtocol.OPENAI)
    assert dispatcher.credential_scan(house).finds(f"your key {KEY} is bad".encode())
    dispatcher.replace_secrets(EnvironmentSecrets(frozenset({"KEY"}), {"KEY": NEXT}))
    asyncio.run(send(dispatcher, house))
    assert providers.sent[0].headers[b"authorization"] == b"Bearer " + NEXT.encode()
    assert dispatcher.credential_scan(house).finds(f"your key {NEXT} is bad".encode())
    assert not dispatcher.credential_scan(house).finds(f"your key {KEY} is bad".encode())
    dispatcher.replace_secrets(EnvironmentSecrets(frozenset(), {}))
    assert not dispatcher.credential_scan(house).finds(KEY.encode())
    with pytest.raises(UnsentError, match="no value"):
        asyncio.run(send(dispatcher, house))
    assert len(providers.sent) == 1
