"""Posting a document to one URL, once: what webhooks and witnesses have in common."""

import asyncio
from typing import Final, final
from urllib.parse import urlsplit

from ringfence.domain.error import RingfenceError
from ringfence.transport.http import Headers, Origin, Requester

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_TIMEOUT_S: Final = 10.0
_ANSWER_BYTES: Final = 64 * 1024
_OK: Final = range(200, 300)


@final
class Posting:
    """One URL to post to. `host` may be logged; the rest of a URL may be a secret."""

    def __init__(self, client: Requester, url: str) -> None:
        """Take an `http` or `https` URL; a user name in it is not sent."""
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        self.host = parts.hostname or ""
        self._client = client
        self._origin = Origin(scheme=parts.scheme, host=self.host, port=port)
        self._authority = parts.netloc.rpartition("@")[2].encode()
        query = f"?{parts.query}" if parts.query else ""
        self._target = f"{parts.path or '/'}{query}".encode()

    async def send(
        self, document: bytes, content_type: bytes, token: str = "", further: Headers = ()
    ) -> str:
        """Why it was not taken; empty if it was. A token is sent as a bearer's."""
        headers = [(b"host", self._authority), (b"content-type", content_type), *further]
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
