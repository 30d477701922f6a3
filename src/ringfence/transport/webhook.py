"""Webhooks: JSON documents posted to one URL, in order, tried for a while, never waited for."""

import asyncio
import contextlib
import hashlib
import hmac
import logging
from collections.abc import Callable, Sequence
from typing import final

from ringfence.domain.error import RingfenceError
from ringfence.transport.http import Headers, Requester
from ringfence.transport.posting import Posting

_LOG = logging.getLogger(__name__)

_WAITING_MOST = 1_000
_PAUSES_S = (1.0, 5.0, 25.0, 125.0)

Credential = Callable[[], str]
"""Gives the bearer token, or the key to sign with, to use now; empty for none."""

SIGNATURE = b"ringfence-signature"
"""The header of a signed message: `sha256=` and the HMAC-SHA256 of the body, in hexadecimal."""


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
        signing_key: Credential = str,
        pauses_s: Sequence[float] = _PAUSES_S,
    ) -> None:
        """Nothing is sent before `start`."""
        self._signing_key = signing_key
        self._posting = Posting(client, url)
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
                    extra={"host": self._posting.host},
                )

    def _signed(self, document: bytes) -> Headers:
        key = self._signing_key()
        if not key:
            return ()
        digest = hmac.new(key.encode(), document, hashlib.sha256).hexdigest()
        return ((SIGNATURE, f"sha256={digest}".encode()),)

    async def _post(self, document: bytes) -> str:
        """Why it was not taken; empty if it was. Nothing is sent without what is to prove us."""
        try:
            token, signed = self._credential(), self._signed(document)
        except RingfenceError as error:
            return error.code
        return await self._posting.send(document, b"application/json", token, signed)

    async def _deliver(self, document: bytes) -> bool:
        """Whether it was taken, at one of several times."""
        for pause_s in (*self._pauses_s, None):
            why = await self._post(document)
            if not why:
                return True
            _LOG.warning(
                "a webhook was not delivered", extra={"host": self._posting.host, "why": why}
            )
            if pause_s is None:
                break
            await asyncio.sleep(pause_s)
        return False
