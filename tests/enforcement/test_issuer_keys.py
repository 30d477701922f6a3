"""An issuer's keys are fetched when they are needed, in bounded time and not too often."""

import asyncio
from dataclasses import dataclass, field

import pytest
from tests.gateways.world import Upstream
from tests.signing import AUDIENCE, ISSUER, key, key_set

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.issuer import Issuer
from ringfence.enforcement import issuer_keys
from ringfence.enforcement.issuer_keys import FRESH_US, RETRY_US, STALE_US, FetchedKeys
from ringfence.testing.clock import ManualClock
from ringfence.transport.http import Headers, Origin

URL = "https://login.acme.example/keys?v=2"
ABROAD = Issuer(name="acme", issuer=ISSUER, audience=AUDIENCE, keys_url=URL)


@dataclass(slots=True)
class Web:
    """A `Client` that answers every question alike."""

    answer: bytes | RingfenceError = b""
    status: int = 200
    is_hanging: bool = False
    asked: list[tuple[Origin, bytes, bytes, Headers]] = field(default_factory=list)

    async def request(  # noqa: PLR0913 (the shape of a client)
        self,
        origin: Origin,
        method: bytes,
        target: bytes,
        headers: Headers,
        body: bytes,
        *,
        connect_timeout_s: float,
        idle_timeout_s: float,
    ) -> Upstream:
        del body
        assert 0 < connect_timeout_s <= 5
        assert 0 < idle_timeout_s <= 5
        self.asked.append((origin, method, target, headers))
        await asyncio.sleep(0)
        if self.is_hanging:
            await asyncio.Event().wait()
        if isinstance(self.answer, RingfenceError):
            raise self.answer
        return Upstream(self.status, [self.answer])

    async def close(self) -> None:
        """Nothing is open."""


def ask(keys: FetchedKeys, issuer: Issuer = ABROAD, kid: str = "one") -> list[str]:
    return [each.kid for each in asyncio.run(keys.of("org_1", issuer, kid))]


def unavailable(keys: FetchedKeys) -> bool:
    with pytest.raises(UnavailableError) as caught:
        ask(keys)
    return caught.value.code == "issuer_unavailable"


def test_keys_of_a_file_are_not_fetched() -> None:
    web = Web()
    here = Issuer(name="acme", issuer=ISSUER, audience=AUDIENCE, keys=key_set(key()).decode())
    assert ask(FetchedKeys(web, ManualClock()), here, "unknown") == ["one"]
    assert web.asked == []


def test_keys_are_fetched_once_and_again_when_they_are_old() -> None:
    web, clock = Web(key_set(key())), ManualClock()
    keys = FetchedKeys(web, clock)
    assert ask(keys) == ask(keys) == ["one"]
    [(origin, method, target, headers)] = web.asked
    assert (origin, method, target) == (
        Origin(scheme="https", host="login.acme.example", port=443),
        b"GET",
        b"/keys?v=2",
    )
    assert dict(headers)[b"host"] == b"login.acme.example"
    clock.advance(FRESH_US)
    web.answer = key_set(key("EC", "two"))
    assert ask(keys) == ["two"]


def test_a_new_key_is_looked_for_but_not_for_every_made_up_name() -> None:
    web, clock = Web(key_set(key())), ManualClock()
    keys = FetchedKeys(web, clock)
    assert ask(keys) == ["one"]
    for _ in range(5):
        assert ask(keys, kid="made up") == ["one"]
    assert len(web.asked) == 1
    clock.advance(RETRY_US)
    web.answer = key_set(key(), key("EC", "two"))
    assert ask(keys, kid="two") == ["one", "two"]
    assert len(web.asked) == 2


def test_many_calls_at_once_ask_once() -> None:
    web = Web(key_set(key()))
    keys = FetchedKeys(web, ManualClock())

    async def story() -> None:
        found = await asyncio.gather(*[keys.of("org_1", ABROAD, "one") for _ in range(20)])
        assert all(len(each) == 1 for each in found)

    asyncio.run(story())
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    "web",
    [
        Web(UnavailableError("provider_unavailable", "away")),
        Web(b"<html>"),
        Web(b'{"keys": []}'),
        Web(b"x" * 300_000),
        Web(key_set(key()), 404),
    ],
)
def test_an_issuer_that_gives_no_keys_is_asked_again_later(web: Web) -> None:
    clock = ManualClock()
    keys = FetchedKeys(web, clock)
    assert unavailable(keys)
    assert unavailable(keys)
    assert len(web.asked) == 1
    web.answer, web.status = key_set(key()), 200
    clock.advance(RETRY_US)
    assert ask(keys) == ["one"]


def test_an_issuer_that_hangs_does_not_hold_a_call_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(issuer_keys, "FETCH_S", 0.01)
    assert unavailable(FetchedKeys(Web(is_hanging=True), ManualClock()))


def test_known_keys_last_for_an_hour_while_the_issuer_is_away() -> None:
    web, clock = Web(key_set(key())), ManualClock()
    keys = FetchedKeys(web, clock)
    assert ask(keys) == ["one"]
    web.answer = UnavailableError("provider_unavailable", "away")
    clock.advance(STALE_US - 1)
    assert ask(keys) == ["one"]
    clock.advance(RETRY_US)
    assert unavailable(keys)


def test_setting_the_wall_clock_back_does_not_lengthen_the_life_of_a_key() -> None:
    web, clock = Web(key_set(key())), ManualClock()
    keys = FetchedKeys(web, clock)
    assert ask(keys) == ["one"]
    clock.set(clock.now_us() - 10 * STALE_US)
    clock.advance(FRESH_US)
    web.answer = key_set(key("EC", "two"))
    assert ask(keys) == ["two"]


def test_organisations_that_trust_one_issuer_ask_it_each_for_itself() -> None:
    web, clock = Web(key_set(key())), ManualClock()
    keys = FetchedKeys(web, clock)
    assert ask(keys) == ["one"]
    ask(keys, kid="made up")
    # What the first has asked neither spares the second a question nor keeps it from asking.
    web.answer = key_set(key(), key("EC", "two"))
    found = asyncio.run(keys.of("org_2", ABROAD, "two"))
    assert [each.kid for each in found] == ["one", "two"]
    assert len(web.asked) == 2
