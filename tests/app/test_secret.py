import asyncio
import hashlib
import io
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.app.installation import (
    ENVIRONMENT,
    Installation,
    plane,
    process,
    provider,
    ready,
    until,
)
from tests.cli.installation import call

from ringfence.app.secret import SecretCustody, requesting, stored_secrets
from ringfence.config.problem import Place
from ringfence.config.reading import SecretUse
from ringfence.domain.error import UnavailableError, UsageError
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.secret import (
    FromCommand,
    FromEnvironment,
    FromFile,
    FromStore,
    FromVault,
    Grant,
    InHeader,
    Minting,
    SecretBinding,
    SecretDefinition,
    SecretOrigin,
    key_of,
    token_of,
)
from ringfence.enforcement.oauth import TokenOrder
from ringfence.stores.secret import Secrets
from ringfence.stores.state.store import open_state
from ringfence.testing.clock import ManualClock
from ringfence.testing.model.script import parse
from ringfence.testing.model.serving import Running
from ringfence.transport.client import Pool
from ringfence.transport.http import Request, Response
from ringfence.transport.server import Server

ONE, TWO = "canary-one-0123456789", "canary-two-0123456789"
BOUND = (SecretBinding(host="a.example", location=InHeader()),)
VAULT = FromVault(
    url="https://v.example", mount="secret", path="a", field="b", token="TOKEN", refresh_s=60
)


USE = SecretUse(place=Place("a.yaml", 7, 3), what="`credential` in provider `p`", is_sent=True)
MINTED = SecretDefinition(
    name="crm",
    origin=FromStore(),
    minting=Minting(grant=Grant.CLIENT_CREDENTIALS, token_url="https://t.example/t", client="us"),
)


@dataclass
class Vault:
    value: str = ONE
    is_away: bool = False
    asked: list[str] = field(default_factory=list)

    def __call__(self, url: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        self.asked.append(url)
        assert headers["x-vault-token"] == "token-of-the-vault"
        if self.is_away:
            raise UnavailableError("provider_unavailable", "nobody is there")
        return 200, b'{"data":{"data":{"b":"%s"}}}' % self.value.encode()


@dataclass
class Mints:
    """Gives a token for each proof, good for a hundred seconds."""

    is_away: bool = False
    orders: list[TokenOrder] = field(default_factory=list)

    def __call__(self, order: TokenOrder) -> tuple[str, float]:
        if self.is_away:
            raise UnavailableError("oauth_failed", "no access token: nobody is there")
        self.orders.append(order)
        return f"token {len(self.orders)} for {order.client_secret}", 100.0


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = open_state(folder)
        self.clock = ManualClock()
        self.environment = {"TOKEN": "token-of-the-vault", "KEY": ONE, "PATH": "/usr/bin:/bin"}
        self.vault = Vault()
        self.stored = stored_secrets(folder, self.environment, self.state, self.clock)
        self.mints = Mints()
        self.custody = SecretCustody(
            self.environment, self.stored, self.vault, self.clock, self.mints
        )

    def take(self, *definitions: SecretDefinition, used: str = "") -> Secrets:
        configuration = of(*definitions)
        uses = {key_of("acme", used): USE} if used else {}
        proposal = self.custody.prepare(configuration, frozenset({"TOKEN"}), uses)
        assert ONE not in repr(proposal)
        return self.custody.take(proposal, configuration)

    def later(self, seconds: float) -> Secrets | None:
        self.clock.advance(int(seconds * 1e6))
        fetched = self.custody.look()
        assert ONE not in repr(fetched)
        return self.custody.apply(fetched)


def of(*definitions: SecretDefinition) -> Configuration:
    acme = Organisation(name="acme", id="org_1", secrets={each.name: each for each in definitions})
    return Configuration(organisations={"acme": acme}, digest="")


def secret(origin: SecretOrigin, name: str = "crm") -> SecretDefinition:
    return SecretDefinition(name=name, origin=origin, bindings=BOUND)


def value(secrets: Secrets | None, name: str = "crm") -> str | None:
    assert secrets is not None
    found = secrets.named("acme", name)
    return None if found is None else found.reveal()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "data")
    yield made
    made.state.close()


def test_values_come_from_everywhere(world: World, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(TWO + "\n")
    world.stored.put("org_1", "kept", TWO)
    secrets = world.take(
        secret(FromEnvironment("KEY"), "one"),
        secret(FromFile(str(tmp_path / "key")), "two"),
        secret(FromCommand(command=("printf", ONE)), "three"),
        secret(FromStore(), "kept"),
        secret(VAULT, "far"),
    )
    found = [value(secrets, name) for name in ("one", "two", "three", "kept", "far")]
    assert found == [ONE, TWO, ONE, TWO, ONE]
    assert secrets.variables() == {"TOKEN"}
    assert secrets.named("other", "one") is None
    assert world.custody.trouble() == ""
    assert ONE not in repr(secrets)


def test_what_the_plane_itself_needs_must_have_a_value(world: World) -> None:
    uses = {key_of("acme", "crm"): USE}
    definition = SecretDefinition(name="crm", origin=FromStore())
    with pytest.raises(UsageError) as refused:
        world.custody.prepare(of(definition), frozenset(), uses)
    assert refused.value.code == "secret_missing"
    assert refused.value.message == (
        "a.yaml:7:3: secret `crm` has no value, which `credential` in provider `p` needs"
    )
    assert refused.value.help == "`ringfence secret set crm`"
    world.stored.put("org_1", "crm", "two\nlines")
    with pytest.raises(UsageError, match="no request can carry"):
        world.custody.prepare(of(definition), frozenset(), uses)
    world.stored.put("org_1", "crm", "short")
    proposal = world.custody.prepare(of(definition), frozenset(), uses)
    secrets = world.custody.take(proposal, of(definition))
    assert secrets.get("acme/crm").reveal() == "short"
    with pytest.raises(UsageError, match="no request can carry"):
        world.custody.judge("acme", "crm", "two\nlines")


def test_what_a_store_that_is_away_holds_is_not_needed_at_once(world: World) -> None:
    world.vault.is_away = True
    definition = SecretDefinition(name="crm", origin=VAULT)
    uses = {key_of("acme", "crm"): USE}
    proposal = world.custody.prepare(of(definition), frozenset({"TOKEN"}), uses)
    assert world.custody.take(proposal, of(definition)).find("acme/crm") is None
    world.vault.is_away = False
    assert value(world.later(10)) == ONE


def test_a_token_that_the_plane_itself_uses_is_got_renewed_and_got_anew(world: World) -> None:
    token = token_of("crm")
    with pytest.raises(UsageError, match="secret `crm` has no value, which"):
        world.take(MINTED, used=token)
    world.stored.put("org_1", "crm", ONE)
    assert value(world.take(MINTED, used=token), token) == f"token 1 for {ONE}"
    assert "token 1" not in repr(world.custody)
    assert world.later(79) is None
    assert value(world.later(2), token) == f"token 2 for {ONE}"
    world.stored.put("org_1", "crm", TWO)
    assert value(world.custody.stored_changed(), token) == f"token 3 for {TWO}"
    # What cannot be got now leaves the one before, and is tried again.
    world.mints.is_away = True
    assert world.later(85) is None
    assert "nobody is there" in world.custody.standing("acme")["crm"]
    world.mints.is_away = False
    assert value(world.later(11), token) == f"token 4 for {TWO}"
    assert world.custody.standing("acme") == {}
    # Without a use of the plane's none is got: workers get those of agents' requests.
    world.take(MINTED)
    assert len(world.mints.orders) == 4


def test_a_token_that_is_refused_is_got_again_at_most_every_half_minute(world: World) -> None:
    token = token_of("crm")
    key = key_of("acme", token)
    world.stored.put("org_1", "crm", ONE)
    world.take(MINTED, used=token)
    for _ in range(10):
        world.custody.token_refused(key)
        assert world.later(2) is None
    world.later(11)
    world.custody.token_refused(key)
    assert value(world.later(0), token) == f"token 2 for {ONE}"
    world.custody.token_refused(key)
    assert world.later(0) is None
    for other in ("KEY", key_of("acme", "crm"), key_of("acme", token_of("none")), ""):
        world.later(31)
        world.custody.token_refused(other)
    assert world.later(0) is None


def test_who_gives_tokens_may_be_away_at_a_start(world: World) -> None:
    token = token_of("crm")
    world.stored.put("org_1", "crm", ONE)
    world.mints.is_away = True
    assert world.take(MINTED, used=token).find(key_of("acme", token)) is None
    world.mints.is_away = False
    assert value(world.later(11), token) == f"token 1 for {ONE}"


def test_a_file_that_is_replaced_is_read_again(world: World, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(ONE)
    world.take(secret(FromFile(str(path))))
    assert world.later(2) is None
    path.write_text(TWO)
    assert value(world.later(2)) == TWO
    assert world.later(2) is None


def test_a_file_that_vanishes_leaves_the_value_and_is_told(world: World, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(ONE)
    world.take(secret(FromFile(str(path))))
    path.unlink()
    assert world.later(2) is None
    assert world.custody.trouble().startswith("1 cannot be read;")
    assert "cannot be read" in world.custody.standing("acme")["crm"]
    assert world.custody.standing("other") == {}
    path.write_text(TWO)
    assert value(world.later(10)) == TWO
    assert world.custody.trouble() == ""


def test_a_command_is_run_again_when_it_is_due(world: World, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(ONE)
    world.take(secret(FromCommand(command=("cat", str(path)), refresh_s=60)))
    path.write_text(TWO)
    assert world.later(59) is None
    assert value(world.later(2)) == TWO


def test_a_command_without_refresh_is_run_at_a_reload_alone(world: World, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(ONE)
    definition = secret(FromCommand(command=("cat", str(path))))
    world.take(definition)
    path.write_text(TWO)
    assert world.later(1e6) is None
    assert value(world.take(definition)) == TWO


def test_a_stored_value_is_used_when_somebody_says_that_it_changed(world: World) -> None:
    assert value(world.take(secret(FromStore()))) is None
    assert "has no value" in world.custody.standing("acme")["crm"]
    world.stored.put("org_1", "crm", ONE)
    assert value(world.custody.stored_changed()) == ONE
    assert world.custody.stored_changed() is None
    world.stored.put("org_2", "crm", TWO)
    assert world.custody.stored_changed() is None
    world.stored.delete("org_1", "crm")
    assert value(world.custody.stored_changed()) is None


def test_a_store_that_is_away_at_the_start_is_asked_again(world: World) -> None:
    world.vault.is_away = True
    assert value(world.take(secret(VAULT))) is None
    assert world.custody.trouble().startswith("1 cannot be read;")
    world.vault.is_away = False
    assert value(world.later(10)) == ONE


def test_a_value_outlives_its_store(world: World) -> None:
    world.take(secret(VAULT))
    world.vault.is_away = True
    assert world.later(60) is None
    assert world.custody.trouble().startswith("1 cannot be read;")
    assert value(world.take(secret(VAULT))) == ONE  # also over a reload
    world.vault.is_away, world.vault.value = False, TWO
    assert value(world.later(10)) == TWO


def test_a_value_does_not_outlive_that_it_comes_from_elsewhere(world: World) -> None:
    world.take(secret(FromEnvironment("KEY")))
    world.vault.is_away = True
    assert value(world.take(secret(VAULT))) is None


@pytest.mark.parametrize(
    ("origin", "code"),
    [
        (FromEnvironment("ABSENT"), "secret_missing"),
        (FromFile("/no/such/file"), "secret_file"),
        (FromCommand(command=("false",)), "secret_command"),
        (FromCommand(command=("printf", "short")), "secret_unusable"),
        (FromCommand(command=("printf", "two\\nlines-of-it")), "secret_unusable"),
    ],
)
def test_what_will_not_be_right_by_itself_stops_a_reload_with_all_as_it_was(
    world: World, origin: SecretOrigin, code: str
) -> None:
    world.take(secret(FromEnvironment("KEY"), "kept"))
    with pytest.raises(UsageError) as caught:
        world.take(secret(origin))
    assert caught.value.code == code
    world.vault.value = TWO
    assert world.later(1e3) is None
    assert set(world.custody.standing("acme")) == set()


def test_a_value_is_judged_before_it_is_stored(world: World) -> None:
    world.take(secret(FromStore()), SecretDefinition(name="free", origin=FromStore()))
    with pytest.raises(UsageError, match="under 8 bytes"):
        world.custody.judge("acme", "crm", "short")
    world.custody.judge("acme", "crm", ONE)
    world.custody.judge("acme", "free", "short")
    world.custody.judge("acme", "unknown", "short")


def test_what_is_fetched_late_changes_nothing_that_a_reload_has_taken(
    world: World, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    path.write_text(ONE)
    world.take(secret(FromFile(str(path))))
    path.write_text(TWO)
    fetched = world.custody.look()
    path.write_text(ONE[::-1])
    assert value(world.take(secret(FromFile(str(path))))) == ONE[::-1]
    assert world.custody.apply(fetched) is None


def test_a_store_on_the_network_is_reached_from_a_thread() -> None:
    async def handle(request: Request, response: Response) -> None:
        token = request.header(b"x-vault-token") or b""
        response.send(200, (), request.path + b" " + token)

    async def run() -> None:
        server, pool = Server(handle), Pool()
        port = await server.listen("127.0.0.1", 0)
        request = requesting(pool, asyncio.get_running_loop())
        url = f"http://127.0.0.1:{port}/v1/secret/data/a"
        answer = await asyncio.to_thread(request, url, {"x-vault-token": "t"})
        assert answer == (200, b"/v1/secret/data/a t")
        await server.close()
        with pytest.raises(UnavailableError):
            await asyncio.to_thread(request, url, {"x-vault-token": "t"})
        await pool.close()

    asyncio.run(run())


async def told(installed: Installation, *arguments: str, value: str = "") -> tuple[int, str]:
    """A command beside a plane that may run: its exit code, and what it wrote."""
    where = ("--config", str(installed.settings.config), "--data", str(installed.data))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(value.encode())))
        for name, each in ENVIRONMENT.items():
            patch.setenv(name, each)
        result = await asyncio.to_thread(call, *arguments, *where)
    assert value not in result.written or not value
    return result.code, result.written


def with_stored(there: Running, installed: Installation) -> None:
    ready(installed, there)
    path = installed.settings.config
    text = path.read_text().replace("${PROVIDER_KEY}", "${secret:house}")
    path.write_text(text + "secrets:\n  house: {stored: true}\n")


def sent_with(there: Running) -> list[str]:
    """What each call proved itself with, in the journal's words."""
    return [entry.headers["authorization"] for entry in there.journal.entries]


def proof(value: str) -> str:
    return "sha256:" + hashlib.sha256(f"Bearer {value}".encode()).hexdigest()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_provider_uses_another_value_from_when_it_is_set_while_calls_flow(
    tmp_path: Path, workers: int
) -> None:
    installed = Installation(tmp_path, workers=workers)

    async def story() -> None:
        async with provider() as there:
            with_stored(there, installed)
            code, said = await told(installed, "check")
            assert (code, "secret `house` has no value" in said) == (2, True)
            with pytest.raises(AssertionError):
                async with process(installed):
                    pass
            said = "".join(installed.lines)
            assert "ringfence.yaml:8:" in said
            assert "`credential` in provider `house` needs" in said
            assert (await told(installed, "secret", "set", "house", value=ONE))[0] == 0
            assert (await told(installed, "check"))[0] == 0
            async with process(installed):
                is_over = asyncio.Event()

                async def ask() -> None:
                    while not is_over.is_set():
                        assert (await installed.ask()).status == 200

                asking = [asyncio.create_task(ask()) for _ in range(3)]
                await until(there, 10)
                assert (await told(installed, "secret", "rotate", "house", value=TWO))[0] == 0
                known = there.journal.total
                await until(there, known + 20)
                is_over.set()
                await asyncio.gather(*asking)
                proofs = sent_with(there)
                assert set(proofs) == {proof(ONE), proof(TWO)}
                assert proofs[:10] == [proof(ONE)] * 10
                # Those that were on their way when the command returned had the earlier value.
                assert set(proofs[known + 3 :]) == {proof(TWO)}
                await refused_without(installed, there)
        found = [path.read_bytes() for path in installed.data.rglob("*") if path.is_file()]
        found += [line.encode() for line in installed.lines]
        assert not any(each.encode() in data for each in (ONE, TWO) for data in found)

    asyncio.run(story())


async def refused_without(installed: Installation, there: Running) -> None:
    """Nothing is sent with an empty credential, and what cannot be used takes no epoch."""
    assert (await told(installed, "secret", "delete", "house"))[0] == 0
    known = there.journal.total
    answer = await installed.ask()
    assert (answer.status, answer.code) == (503, "provider_unavailable")
    assert b"its credential has no value now" in answer.body
    assert there.journal.total == known
    code, said = await told(installed, "reload")
    assert (code, "secret `house` has no value" in said) == (2, True)
    assert (await told(installed, "secret", "set", "house", value=ONE))[0] == 0
    assert (await installed.ask()).status == 200
    path = installed.settings.config
    before = path.read_text()
    path.write_text(before.replace("secret:house", "secret:hose"))
    code, said = await told(installed, "reload")
    assert (code, "did you mean `house`?" in said) == (2, True)
    path.write_text(before)
    assert (await installed.ask()).status == 200
    assert sent_with(there)[-2:] == [proof(ONE)] * 2


class Giver:
    """Gives tokens out."""

    def __init__(self) -> None:
        self.given = 0

    async def handle(self, request: Request, response: Response) -> None:
        await request.read(1000)
        self.given += 1
        body = b'{"access_token":"a-token-number-%d","expires_in":3600}' % self.given
        response.send(200, ((b"content-type", b"application/json"),), body)


def test_a_provider_is_sent_the_token_that_was_got(tmp_path: Path) -> None:
    installed = Installation(tmp_path)

    async def story() -> None:
        giver = Giver()
        server = Server(giver.handle)
        port = await server.listen("127.0.0.1", 0)
        async with provider() as there:
            with_stored(there, installed)
            path = installed.settings.config
            mint = f"mint: {{token_url: 'http://127.0.0.1:{port}/token', client: us}}"
            path.write_text(path.read_text().replace("{stored: true}", f"{{stored: true, {mint}}}"))
            assert (await told(installed, "secret", "set", "house", value=ONE))[0] == 0
            async with process(installed):
                assert (await installed.ask()).status == 200
                assert (await told(installed, "secret", "rotate", "house", value=TWO))[0] == 0
                assert (await installed.ask()).status == 200
        await server.close()
        assert sent_with(there) == [proof("a-token-number-1"), proof("a-token-number-2")]

    asyncio.run(story())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_token_that_a_provider_refuses_is_got_again_and_nothing_is_held_against_it(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.app.secret._FRESH_S", 0.0)
    monkeypatch.setattr("ringfence.app.secret_watch._LOOK_S", 0.01)
    installed = Installation(tmp_path, workers=workers)
    script = """
format: 1
rules:
  - {when: {user: "refuse"}, answer: {faults: {status: 401}}}
  - {answer: {text: hello there, usage: {input_tokens: 5, output_tokens: 7}}}
"""

    async def story() -> None:
        giver = Giver()
        server = Server(giver.handle)
        port = await server.listen("127.0.0.1", 0)
        async with provider(parse(script)) as there:
            with_stored(there, installed)
            path = installed.settings.config
            mint = f"mint: {{token_url: 'http://127.0.0.1:{port}/token', client: us}}"
            path.write_text(path.read_text().replace("{stored: true}", f"{{stored: true, {mint}}}"))
            assert (await told(installed, "secret", "set", "house", value=ONE))[0] == 0
            async with plane(installed):
                assert (await installed.ask("refuse")).status != 200
                async with asyncio.timeout(60):
                    while proof("a-token-number-2") not in sent_with(there):
                        await installed.ask()
                assert (await installed.ask()).status == 200
                code, said = await told(
                    installed, "audit", "query", "--code", "secret.token_refused"
                )
                assert (code, "house" in said) == (0, True)
        await server.close()
        assert giver.given >= 2

    asyncio.run(story())
