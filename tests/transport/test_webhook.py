"""Delivery over a real server is told in `tests/app/test_alert.py`; here is what cannot go out."""

import asyncio
import logging

import pytest

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.transport.http import Headers, Origin, ReadableResponse
from ringfence.transport.webhook import Webhook


class Nobody:
    """A client whose every request fails; keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Origin, bytes, dict[bytes, bytes]]] = []

    async def request(  # noqa: PLR0913 (as the protocol has it)
        self,
        origin: Origin,
        method: bytes,
        target: bytes,
        headers: Headers,
        body: bytes,
        *,
        connect_timeout_s: float,
        idle_timeout_s: float,
    ) -> ReadableResponse:
        del method, body, connect_timeout_s, idle_timeout_s
        self.asked.append((origin, target, dict(headers)))
        raise UnavailableError("provider_unavailable", "nobody is there")

    async def close(self) -> None:
        return


async def send(url: str, *documents: bytes, token: str = "") -> tuple[Webhook, Nobody]:
    client = Nobody()
    webhook = Webhook(client, url, lambda: token, pauses_s=(0.0, 0.0))
    for document in documents:
        webhook.put(document)
    webhook.start()
    async with asyncio.timeout(60):
        while webhook.dropped < len(documents):  # noqa: ASYNC110 (it counts, it tells nobody)
            await asyncio.sleep(0)
    await webhook.stop()
    return webhook, client


def test_each_message_is_tried_so_often_and_then_dropped() -> None:
    webhook, client = asyncio.run(send("https://a.example", b"{}", b"{}"))
    assert (webhook.sent, webhook.dropped, len(client.asked)) == (0, 2, 6)


def test_the_url_is_taken_apart_as_it_is() -> None:
    _, client = asyncio.run(send("https://a.example:8443/h/k?x=1", b"{}", token="hush"))
    origin, target, headers = client.asked[0]
    assert origin == Origin(scheme="https", host="a.example", port=8443)
    assert target == b"/h/k?x=1"
    assert headers[b"host"] == b"a.example:8443"
    assert headers[b"authorization"] == b"Bearer hush"


def test_a_bare_host_is_asked_for_its_root() -> None:
    _, client = asyncio.run(send("http://a.example", b"{}"))
    origin, target, headers = client.asked[0]
    assert (origin.port, target) == (80, b"/")
    assert b"authorization" not in headers


def test_the_log_names_the_host_and_never_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    asyncio.run(send("https://a.example/secret-path?key=secret", b"{}", token="secret-token"))
    told = "".join(str(record.__dict__) for record in caplog.records)
    assert "a.example" in told
    assert not any(part in told for part in ("secret-path", "key=secret", "secret-token"))


def test_nothing_is_sent_while_its_credential_has_no_value() -> None:
    def missing() -> str:
        raise UsageError("secret_missing", "no secret named `acme/hook`")

    async def story() -> None:
        client = Nobody()
        for webhook in (
            Webhook(client, "https://a.example", missing, pauses_s=(0.0,)),
            Webhook(client, "https://a.example", str, signing_key=missing, pauses_s=(0.0,)),
        ):
            webhook.start()
            for number in (1, 2):  # the first one does not end it
                webhook.put(b"{}")
                async with asyncio.timeout(60):
                    while webhook.dropped < number:  # noqa: ASYNC110 (it counts, it tells nobody)
                        await asyncio.sleep(0)
            await webhook.stop()
        assert client.asked == []

    asyncio.run(story())


def test_a_full_line_drops_what_comes_last() -> None:
    async def fill() -> int:
        webhook = Webhook(Nobody(), "http://a.example", lambda: "")
        for _ in range(1_003):
            webhook.put(b"{}")
        return webhook.dropped

    assert asyncio.run(fill()) == 3


def test_one_that_was_never_started_can_be_stopped() -> None:
    asyncio.run(Webhook(Nobody(), "http://a.example", lambda: "").stop())
