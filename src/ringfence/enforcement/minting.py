"""Short-lived credentials: got with a secret, used in its place, renewed before they end."""

import asyncio
from typing import Final, final

from ringfence.domain.error import RingfenceError
from ringfence.domain.secret import Grant, Minting
from ringfence.enforcement.oauth import Failures, Token, TokenOrder, ask
from ringfence.transport.http import Requester

_RENEWED_RATIO: Final = 0.8
"""In the last fifth of its time another one is got while this one is still used."""
_AGAIN_S: Final = 5.0
"""After a failure to get another one ahead of time it is tried again so much later."""

_FRESH_S: Final = 30.0

Key = tuple[str, str]
"""An organisation's name and that of its secret."""


def renewed_after_s(lasts_s: float) -> float:
    """After how long another one is got for a token that is good for so long."""
    return _RENEWED_RATIO * lasts_s


@final
class _Kept:
    """A token, and when another one is to be got."""

    __slots__ = ("renew_s", "since_s", "token")

    def __init__(self, token: Token, now_s: float) -> None:
        self.token = token
        self.since_s = now_s
        self.renew_s = now_s + renewed_after_s(token.until_s - now_s)


@final
class Mint:
    """The tokens of one worker. Who needs the same one at the same time waits for one answer."""

    def __init__(self, client: Requester) -> None:
        """None yet."""
        self._client = client
        self._kept: dict[Key, _Kept] = {}
        self._before: dict[Key, str] = {}
        self._asking: dict[Key, asyncio.Task[Token]] = {}
        self._failures = Failures[Key]()
        self._generation = 0

    def clear(self) -> None:
        """The secrets have changed: what was got with the old ones is not used any more."""
        for key in tuple(self._kept):
            self._forget(key)
        self._asking.clear()
        self._failures.clear()
        self._generation += 1

    def current(self, key: Key) -> Token | None:
        """The token in force; None if there is none."""
        kept = self._kept.get(key)
        if kept is None or asyncio.get_running_loop().time() >= kept.token.until_s:
            return None
        return kept.token

    def refused(self, key: Key, value: str) -> bool:
        """Who takes tokens says that this one is not good: whether another one is got.

        One that is fresh stays: another would fare no better, and asking for it with each request
        would wear out whoever gives them.
        """
        kept = self._kept.get(key)
        now_s = asyncio.get_running_loop().time()
        if kept is not None and kept.token.value == value and now_s - kept.since_s > _FRESH_S:
            self._forget(key)
            return True
        return False

    def before(self, key: Key) -> str | None:
        """The token before the one in force, which its host may still show."""
        return self._before.get(key)

    def _forget(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._before[key] = kept.token.value

    def is_ageing(self, key: Key) -> bool:
        """Whether another one should be got, though this one is still good."""
        kept = self._kept.get(key)
        return kept is not None and asyncio.get_running_loop().time() >= kept.renew_s

    async def fresh(self, key: Key, minting: Minting, secret: str, proof: str) -> Token:
        """A token that is good now. Raises UnavailableError `oauth_failed`.

        `proof` is the client's own secret in an exchange, empty where it has none.
        """
        current = self.current(key)
        if current is not None:
            return current
        if key not in self._asking:
            self._failures.check(key)
        return await asyncio.shield(self._task(key, minting, secret, proof))

    def renew(self, key: Key, minting: Minting, secret: str, proof: str) -> None:
        """Get another one while the present one is used; a failure is not felt by anybody."""
        if key not in self._asking:
            self._task(key, minting, secret, proof)

    def _task(self, key: Key, minting: Minting, secret: str, proof: str) -> asyncio.Task[Token]:
        known = self._asking.get(key)
        if known is not None:
            return known
        task = asyncio.create_task(self._get(key, minting, secret, proof))
        self._asking[key] = task

        def done(ended: asyncio.Task[Token]) -> None:
            if self._asking.get(key) is ended:
                del self._asking[key]
            if not ended.cancelled():
                ended.exception()  # whoever waits hears of it; nobody has to

        task.add_done_callback(done)
        return task

    async def _get(self, key: Key, minting: Minting, secret: str, proof: str) -> Token:
        generation = self._generation
        try:
            token = await ask(self._client, order_of(key[1], minting, secret, proof))
        except RingfenceError as error:
            if generation == self._generation:
                self._failures.note(key, error)
            kept = self._kept.get(key)
            if kept is not None:
                kept.renew_s = asyncio.get_running_loop().time() + _AGAIN_S
            raise
        if generation == self._generation:
            self._forget(key)
            self._kept[key] = _Kept(token, asyncio.get_running_loop().time())
        return token


def order_of(name: str, minting: Minting, secret: str, proof: str) -> TokenOrder:
    """What is asked for with a secret."""
    form = {"grant_type": str(minting.grant)}
    if minting.grant is Grant.TOKEN_EXCHANGE:
        form["grant_type"] = "urn:ietf:params:oauth:grant-type:token-exchange"  # RFC 8693
        form["subject_token"] = secret
        form["subject_token_type"] = minting.subject_token_type
    else:
        proof = secret
    further = {
        "scope": " ".join(minting.scopes),
        "audience": minting.audience,
        "resource": minting.resource,
    }
    form |= {field: value for field, value in further.items() if value}
    return TokenOrder(
        token_url=minting.token_url,
        form=form,
        purpose=f"secret `{name}`",
        key="`mint` of the secret",
        client=minting.client,
        client_secret=proof,
    )
