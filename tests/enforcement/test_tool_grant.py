import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.authorization import Guarded, guarded

from ringfence.domain.error import RingfenceError, UnavailableError, UsageError
from ringfence.domain.tool import OAuthClient, ToolServer
from ringfence.enforcement.tool_grant import SPACE, ToolGrants
from ringfence.stores.secret import StoredSecrets, WrappingKeys
from ringfence.stores.state.store import open_state
from ringfence.testing.clock import ManualClock
from ringfence.transport.client import Pool
from ringfence.transport.entropy import secret

BACK = "http://127.0.0.1:9/callback"


class Place:
    """The grants of one plane."""

    def __init__(self, folder: Path, there: Guarded, pool: Pool) -> None:
        self.there = there
        self.pool = pool
        self.clock = ManualClock()
        self.state = open_state(folder)
        self.stored = StoredSecrets(
            self.state.secrets, WrappingKeys(folder / "key"), self.clock.now_us, space=SPACE
        )
        self.server = ToolServer(
            name="crm", url=f"{there.url}/mcp", oauth=OAuthClient(is_by_person=True)
        )
        self.grants = self.another()

    def another(self) -> ToolGrants:
        """Those of another plane on the same store."""
        return ToolGrants(
            self.stored,
            self.pool,
            self.clock,
            servers=lambda organisation, _: self.server if organisation == "org_1" else None,
            secret=lambda name: f"value of {name}",
            random=lambda: secret(""),
        )

    async def grant(self) -> None:
        asked = await self.grants.begin("org_1", self.server, BACK)
        await self.finish(self.there.say_yes(asked.url))

    async def finish(self, back: str, organisation: str = "org_1", **other: str) -> None:
        brought = {key: values[0] for key, values in parse_qs(urlsplit(back).query).items()}
        brought |= other
        await self.grants.finish(
            organisation,
            self.server,
            state=brought["state"],
            code=brought["code"],
            issuer=brought.get("iss", ""),
            actor="user:ann",
        )

    async def token(self, refused: str = "") -> str:
        return (await self.grants.granted("org_1", "crm", refused)).value


def run(folder: Path, story: Callable[[Place], Awaitable[None]], **more: Any) -> None:  # noqa: ANN401
    async def told() -> None:
        async with guarded(**more) as there:
            pool = Pool()
            place = Place(folder, there, pool)
            try:
                await story(place)
            finally:
                await pool.close()
                place.state.close()

    asyncio.run(told())


def test_a_person_grants_a_server_and_its_tokens_are_renewed(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        with pytest.raises(UnavailableError, match="nobody has granted it"):
            await place.token()
        await place.grant()
        assert place.there.registered[0]["redirect_uris"] == [BACK]
        assert await place.token() == await place.token() == "access-1"
        place.clock.advance(3600 * 1_000_000)
        assert await place.token() == "access-2"
        # One that its server does not take is not given again; who asks late gets the same.
        assert await place.token("access-2") == "access-3"
        assert await place.token("access-2") == "access-3"
        standing = await place.grants.standing("org_1", "crm")
        assert standing is not None
        assert (standing.by, standing.issuer) == ("user:ann", place.there.url)
        assert await place.grants.forget("org_1", "crm")
        with pytest.raises(UnavailableError, match="nobody has granted it"):
            await place.token()

    run(tmp_path, story)


def test_the_grant_is_stored_encrypted_and_of_one_organisation(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        await place.grant()
        assert _holding(tmp_path, b"access-1") == _holding(tmp_path, b"refresh-1") == []
        with pytest.raises(UnavailableError):
            await place.grants.granted("org_2", "crm", "")
        assert await place.grants.standing("org_2", "crm") is None

    run(tmp_path, story)


def _holding(folder: Path, text: bytes) -> list[Path]:
    files = [each for each in folder.rglob("*") if each.is_file()]
    assert files
    return [each for each in files if text in each.read_bytes()]


def test_a_token_is_for_the_url_that_was_granted_and_no_other(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        await place.grant()
        place.server = ToolServer(
            name="crm", url="https://elsewhere.example/mcp", oauth=OAuthClient(is_by_person=True)
        )
        with pytest.raises(UnavailableError, match="for another URL"):
            await place.token()

    run(tmp_path, story)


def test_two_planes_that_renew_at_once_both_go_on(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        await place.grant()
        other = place.another()
        place.clock.advance(3600 * 1_000_000)
        asked = [place.grants.granted("org_1", "crm", ""), other.granted("org_1", "crm", "")]
        first, second = await asyncio.gather(*asked)
        assert {first.value, second.value} <= place.there.valid - {"access-1"}
        place.clock.advance(3600 * 1_000_000)
        assert (await other.granted("org_1", "crm", "")).value in place.there.valid

    run(tmp_path, story)


@pytest.mark.parametrize(
    "change",
    [
        {"state": "made-up"},
        {"code": "code-9"},
        {"iss": "https://evil.example"},
        {"iss": ""},
        {"organisation": "org_2"},
    ],
    ids=str,
)
def test_an_answer_that_is_not_exactly_the_one_asked_for_grants_nothing(
    tmp_path: Path, change: dict[str, str]
) -> None:
    async def story(place: Place) -> None:
        asked = await place.grants.begin("org_1", place.server, BACK)
        back = place.there.say_yes(asked.url)
        with pytest.raises(RingfenceError):
            await place.finish(back, **change)
        assert place.there.valid == set()
        if "state" not in change:  # and its state is used up by the attempt
            with pytest.raises(UsageError, match="belongs to no question"):
                await place.finish(back)

    run(tmp_path, story)


def test_a_question_is_open_for_ten_minutes(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        asked = await place.grants.begin("org_1", place.server, BACK)
        place.clock.advance(600 * 1_000_000)
        with pytest.raises(UsageError, match="belongs to no question"):
            await place.finish(place.there.say_yes(asked.url))

    run(tmp_path, story)


def test_a_client_that_is_configured_does_not_register_itself(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        place.server = ToolServer(
            name="crm",
            url=f"{place.there.url}/mcp",
            oauth=OAuthClient(client="us", is_by_person=True, scopes=("read",)),
        )
        asked = await place.grants.begin("org_1", place.server, BACK)
        query = parse_qs(urlsplit(asked.url).query)
        assert (query["client_id"], query["scope"]) == (["us"], ["read"])
        assert place.there.registered == []
        await place.finish(place.there.say_yes(asked.url))
        assert await place.token() == "access-1"

    run(tmp_path, story)


def test_a_grant_that_cannot_come_back_or_is_not_wanted_is_not_begun(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        with pytest.raises(UsageError, match="no place for a browser"):
            await place.grants.begin("org_1", place.server, "http://elsewhere.example/callback")
        plain = ToolServer(name="crm", url="https://crm.example/mcp")
        with pytest.raises(UsageError, match="nobody has to authorise"):
            await place.grants.begin("org_1", plain, BACK)

    run(tmp_path, story)
