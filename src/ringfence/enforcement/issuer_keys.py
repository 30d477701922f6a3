"""The public keys of issuers: from the configuration, or fetched, kept and fetched again."""

import asyncio
from dataclasses import dataclass
from typing import Protocol, final
from urllib.parse import urlsplit

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.issuer import Issuer
from ringfence.enforcement.route import origin_of
from ringfence.protocols import jwt
from ringfence.transport.clock import Clock
from ringfence.transport.http import Requester

FETCH_S = 5.0
"""How long an issuer may take to give its keys; the call that needs them waits for it."""
FRESH_US = 600_000_000
"""Ten minutes: a key that its issuer has withdrawn is good for no longer."""
STALE_US = 3_600_000_000
"""An hour: how long an issuer's known keys last while it does not answer."""
RETRY_US = 30_000_000
"""How soon an issuer is asked again: a made-up key id must not make us hammer it."""

_LARGEST_BYTES = 256 * 1024
_OK = 200


class IssuerKeys(Protocol):
    """Whoever knows the keys of issuers."""

    async def of(self, organisation: str, issuer: Issuer, kid: str) -> jwt.Keys:
        """The issuer's keys, for an organisation; fetched anew if `kid` is not among them.

        Raises UnavailableError `issuer_unavailable`.
        """


@dataclass(slots=True)
class _Known:
    keys: jwt.Keys = ()
    fetched_us: int = -STALE_US
    """On the monotonic clock: setting the wall clock must not lengthen the life of a key."""
    asked_us: int = -STALE_US


@final
class FetchedKeys:
    """Keys by organisation and issuer; bounded by the configurations.

    INVARIANT (I7): organisations that trust the same issuer ask it each for itself. Else one
    could tell by the time what another has asked, and made-up key ids of one would keep the other
    from a new key.
    """

    def __init__(self, client: Requester, clock: Clock) -> None:
        """Nothing is known yet."""
        self._client = client
        self._clock = clock
        self._known: dict[tuple[str, str, str], _Known] = {}
        self._locks: dict[tuple[str, str, str], asyncio.Lock] = {}

    async def of(self, organisation: str, issuer: Issuer, kid: str) -> jwt.Keys:
        """The issuer's keys. Raises UnavailableError `issuer_unavailable`."""
        name = (organisation, issuer.keys, issuer.keys_url)
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = _Known()
            if issuer.keys:
                known.keys = jwt.read_keys(issuer.keys.encode())
        if issuer.keys or self._suffices(known, kid):
            return known.keys
        async with self._locks.setdefault(name, asyncio.Lock()):  # one question at a time
            now_us = self._clock.monotonic_us()
            if not self._suffices(known, kid) and now_us - known.asked_us >= RETRY_US:
                await self._renew(issuer, known)
        if known.keys and self._clock.monotonic_us() - known.fetched_us < STALE_US:
            return known.keys
        raise UnavailableError("issuer_unavailable", "the keys of the issuer cannot be fetched")

    def _suffices(self, known: _Known, kid: str) -> bool:
        """Whether nothing better could be had by asking."""
        has_key = not kid or any(each.kid == kid for each in known.keys)
        is_fresh = self._clock.monotonic_us() - known.fetched_us < FRESH_US
        return bool(known.keys) and has_key and is_fresh

    async def _renew(self, issuer: Issuer, known: _Known) -> None:
        known.asked_us = self._clock.monotonic_us()
        try:
            async with asyncio.timeout(FETCH_S):
                known.keys = jwt.read_keys(await self._fetch(issuer.keys_url))
        except (RingfenceError, TimeoutError):
            return  # the keys that are known may still do
        known.fetched_us = self._clock.monotonic_us()

    async def _fetch(self, url: str) -> bytes:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        response = await self._client.request(
            origin_of(url),
            b"GET",
            target.encode(),
            [(b"host", parts.netloc.encode()), (b"accept", b"application/json")],
            b"",
            connect_timeout_s=FETCH_S,
            idle_timeout_s=FETCH_S,
        )
        try:
            if response.status != _OK:
                raise UnavailableError("issuer_unavailable", f"status {response.status}")
            return await response.read(_LARGEST_BYTES)
        finally:
            response.close()
