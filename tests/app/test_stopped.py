import asyncio
from pathlib import Path

import msgspec
import pytest
from starlette.types import Message
from tests.app.installation import ENVIRONMENT, Installation, plane

from ringfence.api.access import LISTENER, LocalListener
from ringfence.app.stopped import stopped_app
from ringfence.domain.error import RingfenceError
from ringfence.domain.event import Change


async def ask(
    installed: Installation, method: str, path: str, body: object = None
) -> tuple[int, object]:
    """One request to the control plane of a plane that is not running."""
    data = b"" if body is None else msgspec.json.encode(body)
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": data, "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    async with stopped_app(installed.settings, ENVIRONMENT) as app:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": f"/api/v1/{path}",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
            "server": ("localhost", 80),
            LISTENER: LocalListener(uid=0),
        }
        await app(scope, receive, send)
    answer = b"".join(each.get("body", b"") for each in messages[1:])
    return messages[0]["status"], msgspec.json.decode(answer or b"null")


@pytest.fixture
def installed(tmp_path: Path) -> Installation:
    made = Installation(tmp_path)
    made.configure("http://127.0.0.1:1")
    return made


def test_a_token_can_be_made_while_nothing_runs_and_is_good_when_it_does(
    installed: Installation,
) -> None:
    async def story() -> None:
        status, made = await ask(installed, "POST", "agents/triage/tokens", {})
        assert status == 200
        assert isinstance(made, dict)
        token = next(v for v in made.values() if isinstance(v, str) and v.startswith("rf_agt_"))
        async with plane(installed):
            headers = {"authorization": f"Bearer {token}"}
            listed = await installed.send("GET", "/v1/models", headers=headers)
            assert listed.status == 200
        changes = [e.what for e in installed.events() if isinstance(e, Change)]
        assert "token.issued" in changes

    asyncio.run(story())


def test_agents_are_listed_from_the_files(installed: Installation) -> None:
    status, listed = asyncio.run(ask(installed, "GET", "agents"))
    assert status == 200
    assert "triage" in repr(listed)


def test_a_configuration_that_cannot_be_used_is_told(installed: Installation) -> None:
    installed.settings.config.write_text("format: 2")
    with pytest.raises(RingfenceError):
        asyncio.run(ask(installed, "GET", "agents"))
