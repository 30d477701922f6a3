"""Webhooks: JSON documents posted to one URL, in order, tried for a while, never waited for."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import final
from urllib.parse import urlsplit

from ringfence.domain.error import RingfenceError
from ringfence.transport.http import Origin, Requester

_LOG = logging.getLogger(__name__)

_WAITING_MOST = 1_000
_TIMEOUT_S = 10.0
_ANSWER_BYTES = 64 * 1024
_PAUSES_S = (1.0, 5.0, 25.0, 125.0)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_OK = range(200, 300)

Credential = Callable[[], str]
"""Gives the bearer token to send now; empty for none."""


@final
class Webhook:
    """Sends to one URL; `sent` and `dropped` count.

    What cannot be delivered after some minutes is dropped and said; a full line drops the newest.
    The log names the host alone: the rest of a URL may be a secret.
    """

    def __init__(
        self,
        client: Requester,
        url: str,
        credential: Credential,
        *,
        pauses_s: Sequence[float] = _PAUSES_S,
    ) -> None:
        """Nothing is sent before `start`."""
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        self._client = client
        self._origin = Origin(scheme=parts.scheme, host=parts.hostname or "", port=port)
        self._host = parts.netloc.encode()
        self._target = (parts.path or "/").encode() + (
            b"?" + parts.query.encode() if parts.query else b""
        )
        self._credential = credential
        self._pauses_s = pauses_s
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(_WAITING_MOST)
        self._task: asyncio.Task[None] | None = None
        self.sent = 0
        self.dropped = 0

    def start(self) -> None:
        """Begin to send what was and will be put in."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop at once; what still waits is dropped."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def put(self, document: bytes) -> None:
        """Send a JSON document when its turn comes; never waits."""
        try:
            self._waiting.put_nowait(document)
        except asyncio.QueueFull:
            self.dropped += 1
            _LOG.warning("a webhook has too many messages waiting; one was dropped")

    async def _run(self) -> None:
        while True:
            document = await self._waiting.get()
            if await self._deliver(document):
                self.sent += 1
            else:
                self.dropped += 1
                _LOG.error(
                    "a webhook did not take a message, it was dropped",
                    extra={"host": self._origin.host},
                )

    async def _deliver(self, document: bytes) -> bool:
        """Whether it was taken, at one of several times."""
        for pause_s in (*self._pauses_s, None):
            why = await self._post(document)
            if not why:
                return True
            _LOG.warning(
                "a webhook was not delivered", extra={"host": self._origin.host, "why": why}
            )
            if pause_s is None:
                break
            await asyncio.sleep(pause_s)
        return False

    async def _post(self, document: bytes) -> str:
        """Why it was not taken; empty if it was."""
        headers = [(b"host", self._host), (b"content-type", b"application/json")]
        token = self._credential()
        if token:
            headers.append((b"authorization", f"Bearer {token}".encode()))
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                answer = await self._client.request(
                    self._origin,
                    b"POST",
                    self._target,
                    headers,
                    document,
                    connect_timeout_s=_TIMEOUT_S,
                    idle_timeout_s=_TIMEOUT_S,
                )
                await answer.read(_ANSWER_BYTES)
        except RingfenceError as error:
            return error.code
        except TimeoutError:
            return "no answer in time"
        return "" if answer.status in _OK else f"status {answer.status}"
