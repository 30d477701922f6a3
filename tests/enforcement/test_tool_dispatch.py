from ringfence.domain.tool import ToolServer
from ringfence.enforcement.tool_dispatch import ToolDispatcher
from ringfence.stores.secret import EnvironmentSecrets
from ringfence.transport.http import (
    Client,
    Exchange,
    Headers,
    Origin,
    Prepared,
    ReadableResponse,
    Taker,
)

SECRET = "the-credential-of-the-server-01"
CRM = ToolServer(name="crm", url="https://crm.example/mcp?team=a", credential="CRM")
LOCAL = ToolServer(
    name="files",
    command=("server",),
    environment=(("TOKEN", "${CRM}"), ("PRICE", "$${5}"), ("MODE", "x-${CRM}-y")),
)


class Noting(Client):
    """A client that notes what it is to prepare."""

    def __init__(self) -> None:
        self.prepared: list[tuple[Origin, bytes, Headers]] = []

    def prepare(  # noqa: PLR0913 (the shape of a client)
        self,
        origin: Origin,
        method: bytes,
        target: bytes,
        headers: Headers,
        *,
        connect_timeout_s: float,
        idle_timeout_s: float,
    ) -> Prepared:
        del method, connect_timeout_s, idle_timeout_s
        self.prepared.append((origin, target, headers))
        return self

    def send(self, prepared: Prepared, body: bytes, taker: Taker, /) -> Exchange:
        raise NotImplementedError

    async def request(self, *_: object, **__: object) -> ReadableResponse:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is open."""


def dispatcher(client: Noting | None = None) -> ToolDispatcher:
    secrets = EnvironmentSecrets(frozenset({"CRM"}), {"CRM": SECRET})
    own = {"PATH": "/bin", "HOME": "/home/x", "AWS_SECRET": "never"}
    return ToolDispatcher(client or Noting(), secrets, own)


def test_a_servers_own_credential_is_added_and_shown_nowhere() -> None:
    client = Noting()
    made = dispatcher(client).prepare(CRM, b"POST", [(b"accept", b"x")], 5.0)
    [(origin, target, headers)] = client.prepared
    assert (origin.host, origin.port, target) == ("crm.example", 443, b"/mcp?team=a")
    assert dict(headers)[b"authorization"] == f"Bearer {SECRET}".encode()
    assert SECRET not in repr(made)


def test_a_process_gets_a_clean_environment_and_what_its_env_says() -> None:
    assert dispatcher().environment(LOCAL) == {
        "PATH": "/bin",
        "HOME": "/home/x",
        "TOKEN": SECRET,
        "PRICE": "${5}",
        "MODE": f"x-{SECRET}-y",
    }
    assert set(dispatcher().hidden(LOCAL)) == {SECRET.encode()}


def test_what_was_prepared_before_a_reload_is_not_used_after_it() -> None:
    found = dispatcher()
    made = found.prepare(CRM, b"POST", [], 5.0)
    assert found.is_current(made)
    found.replace_secrets(EnvironmentSecrets(frozenset({"CRM"}), {"CRM": "another-one"}))
    assert not found.is_current(made)
