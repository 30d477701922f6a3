"""Names to addresses, remembered briefly."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import Any

Lookup = Callable[[str, int], Awaitable[list[str]]]


async def look_up(host: str, port: int) -> list[str]:
    """Ask the system's resolver; addresses in its order, each once. Raises OSError."""
    found: list[tuple[Any, ...]] = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    )
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


Check = Callable[[str, int, str], None]
"""Given a host, a port and one address of the host; raises RingfenceError if it is not dialled."""


def anywhere(_host: str, _port: int, _address: str) -> None:
    """Any address may be dialled."""


_KNOWN_MOST = 1024
"""Names that are remembered: whoever is asked for may have any number of them."""


class Resolver:
    """Keeps answers for a few seconds; addresses pass through.

    INVARIANT: what is dialled was checked; a name is not asked for again between the two.
    """

    def __init__(self, keep_s: float, lookup: Lookup = look_up, *, check: Check = anywhere) -> None:
        """`keep_s` is short, because the system does not tell how long an answer holds.

        One address that fails the `check` is enough to refuse a host.
        """
        self._keep_s = keep_s
        self._lookup = lookup
        self._check = check
        self._known: dict[tuple[str, int], tuple[float, list[str]]] = {}

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to try, in order. Raises OSError if there are none."""
        if _is_address(host):
            self._check(host, port, host)
            return [host]
        now = asyncio.get_running_loop().time()
        until, addresses = self._known.get((host, port), (0.0, []))
        if now >= until:
            addresses = await self._lookup(host, port)
            if not addresses:
                raise OSError("the name has no address")
            for address in addresses:
                self._check(host, port, address)
            if len(self._known) >= _KNOWN_MOST:
                self._known.clear()
            self._known[host, port] = (now + self._keep_s, addresses)
        return addresses

    def forget(self, host: str, port: int) -> None:
        """No address worked; ask anew next time."""
        self._known.pop((host, port), None)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
