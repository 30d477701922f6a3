"""I5: the value of a secret never reaches an agent, a log, an error, a trace or a file."""

import asyncio
import base64
import logging
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.gateways.world import (
    PROVIDER_KEY,
    Upstream,
    World,
    always,
    chat,
    code_of,
    failing,
    whole,
)

from ringfence.domain.error import PeerError, UnavailableError, UnsentError
from ringfence.domain.event import Outcome
from ringfence.stores.body import BodyStore
from ringfence.stores.ledger import Fence, LedgerReader, LedgerWriter
from ringfence.telemetry.log import JsonFormatter, TerminalFormatter
from ringfence.testing.ids import SequentialIds

ECHO = {"error": {"message": f"Incorrect API key provided: {PROVIDER_KEY}", "code": "invalid_key"}}


def shapes(secret: str) -> list[bytes]:
    """The ways a secret may be written."""
    raw = secret.encode()
    encoded = [base64.b64encode(raw[skip:]).rstrip(b"=")[4:-4] for skip in range(3)]
    return [raw, raw.hex().encode(), quote(secret).encode(), raw[::-1], *encoded]


def assert_absent(data: bytes) -> None:
    for shape in shapes(PROVIDER_KEY):
        assert shape not in data


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_that_echoes_the_key_is_not_passed_on(
    status: int,
    stream: bool,  # noqa: FBT001 (a case of the table)
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        world = World()
        world.providers.answering = always(lambda: whole(ECHO, status))
        with caplog.at_level(logging.DEBUG):
            response = await world.ask(body=chat(stream=stream))
        assert response.status == 502
        assert code_of(response) == "provider_credential"
        for text in (response.body, repr(response.headers).encode(), caplog.text.encode()):
            assert_absent(text)
        for event in world.ledger.events:
            assert_absent(repr(event).encode())
        for body in world.ledger.bodies.values():
            assert_absent(body)
        [outcome] = world.ledger.outcomes
        assert (outcome.error, outcome.cost_nano) == ("provider_credential", "0")

    asyncio.run(story())


@pytest.mark.parametrize("status", [400, 404, 422, 429, 500])
def test_other_errors_of_the_provider_are_passed_on(status: int) -> None:
    async def story() -> None:
        world = World()
        document = {"error": {"message": "not today", "type": "x"}}
        world.providers.answering = always(
            lambda: whole(document, status, [(b"retry-after", b"7"), (b"set-cookie", b"a=b")])
        )
        response = await world.ask()
        assert response.status == status
        assert b"not today" in response.body
        assert response.headers[b"retry-after"] == b"7"
        assert b"set-cookie" not in response.headers
        assert [each.cost_nano for each in world.ledger.outcomes] == ["0"]

    asyncio.run(story())


@pytest.mark.parametrize(
    "error",
    [
        UnsentError("provider_unavailable", "no route"),
        UnavailableError("provider_timeout", "too late"),
        PeerError("provider_malformed", "not HTTP"),
        ZeroDivisionError(PROVIDER_KEY),
    ],
)
def test_no_failure_shows_the_key(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        world = World()

        async def answer(_sent: object) -> Upstream:
            raise error

        world.providers.answering = answer
        with caplog.at_level(logging.DEBUG):
            response = await world.ask()
        assert response.status >= 500
        assert_absent(response.body)
        for record in caplog.records:
            for formatter in (JsonFormatter(), TerminalFormatter()):
                record.exc_text = None
                assert_absent(formatter.format(record).encode())
        for event in world.ledger.events:
            assert_absent(repr(event).encode())

    asyncio.run(story())


def test_the_key_is_written_to_the_wire_and_shown_by_nothing() -> None:
    async def story() -> None:
        world = World()
        await world.ask()
        [sent] = world.providers.sent
        assert sent.headers[b"authorization"] == b"Bearer " + PROVIDER_KEY.encode()
        assert b"rf_agt_triage" not in repr(sent.headers).encode()
        world.providers.sent.clear()
        things = (world.worker.dispatcher, world.worker.directory, world.config, world.worker)
        assert_absent(repr([vars(x) if hasattr(x, "__dict__") else x for x in things]).encode())

    asyncio.run(story())


def test_no_file_of_the_ledger_holds_the_key_or_a_token(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        bodies = BodyStore.open(tmp_path)
        writer = LedgerWriter.open(Fence.take(tmp_path, SequentialIds().make("log")), bodies=bodies)
        plain = world.ledger

        def copy_events() -> None:
            for event in plain.events:
                writer.append(event).add_done_callback(lambda done: done.exception())

        world.providers.answering = always(lambda: whole(ECHO, 400))
        await world.ask()
        world.providers.answering = failing(UnsentError("provider_unavailable", PROVIDER_KEY[:4]))
        await world.ask()
        copy_events()
        await writer.flush()
        await writer.close()
        bodies.close()
        assert sum(isinstance(each, Outcome) for each in plain.events) == 2

    asyncio.run(story())
    LedgerReader(tmp_path).close()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for path in files:
        data = path.read_bytes()
        assert_absent(data)
        assert b"rf_agt_triage" not in data


def test_the_guard_of_this_file_can_fail() -> None:
    for shape in shapes(PROVIDER_KEY):
        with pytest.raises(AssertionError):
            assert_absent(b"xx" + shape + b"yy")
    for lead in (b"", b"a", b"ab"):
        with pytest.raises(AssertionError):
            assert_absent(base64.b64encode(lead + PROVIDER_KEY.encode()))
