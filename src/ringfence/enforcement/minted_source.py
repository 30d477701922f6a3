"""Short-lived credentials that the plane itself uses: a source of values like any other."""

import asyncio
from collections.abc import Callable
from typing import Final, final

from ringfence.domain.error import UnavailableError
from ringfence.domain.secret import Minting
from ringfence.enforcement.minting import order_of, renewed_after_s
from ringfence.enforcement.oauth import TokenOrder, ask
from ringfence.stores.secret import Secret
from ringfence.transport.http import Requester

_LEAST_S: Final = 5.0
_TIMEOUT_S: Final = 25.0

Mints = Callable[[TokenOrder], tuple[str, float]]
"""Gets a token, and for how many seconds it is good. Blocks; raises UnavailableError."""


@final
class MintedSource:
    """The token that is got with a secret; another one is got in the last fifth of its time."""

    def __init__(
        self,
        name: str,
        minting: Minting,
        proofs: Callable[[], tuple[str | None, str | None]],
        mint: Mints,
    ) -> None:
        """`proofs` gives the secret's present value, and that of the client's own if it has one."""
        self._name = name
        self._minting = minting
        self._proofs = proofs
        self._mint = mint
        self._got_with: tuple[str | None, str | None] | None = None
        self.refresh_s: float | None = None

    def fetch(self) -> Secret | None:
        """Raises UnavailableError `oauth_failed` or `secret_missing`."""
        self._got_with = value, proof = self._proofs()
        if value is None or proof is None:
            raise UnavailableError("secret_missing", f"secret `{self._name}` has no value")
        token, lasts_s = self._mint(order_of(self._name, self._minting, value, proof))
        self.refresh_s = max(_LEAST_S, renewed_after_s(lasts_s))
        return Secret(token)

    def has_changed(self) -> bool:
        """Whether it was got with another value than there is now."""
        return self._proofs() != self._got_with


def minting(client: Requester, loop: asyncio.AbstractEventLoop) -> Mints:
    """Get tokens from any thread but the loop's own."""

    async def get(order: TokenOrder) -> tuple[str, float]:
        token = await ask(client, order)
        return token.value, token.until_s - loop.time()

    def mint(order: TokenOrder) -> tuple[str, float]:
        asking = asyncio.run_coroutine_threadsafe(get(order), loop)
        try:
            return asking.result(_TIMEOUT_S)
        except TimeoutError:
            asking.cancel()
            what = f"no access token for {order.purpose}: no answer in time"
            raise UnavailableError("oauth_failed", what) from None

    return mint
