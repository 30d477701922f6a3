"""Opening connections to upstreams: every address in turn, TLS verified."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ringfence.domain.error import UnavailableError, UnsentError
from ringfence.transport.http import Origin
from ringfence.transport.resolver import Resolver
from ringfence.transport.tls import client_context
from ringfence.transport.unix_socket import address_of

Line = TypeVar("Line", bound=asyncio.Protocol)


class Dialer:
    """Opens connections; its errors are UnsentErrors."""

    def __init__(self, resolver: Resolver, tls: ssl.SSLContext | None) -> None:
        """`tls` is from `tls.client_context`, and made when first needed."""
        self._resolver = resolver
        self._tls = tls

    async def open(self, origin: Origin, make: Callable[[], Line], timeout_s: float) -> Line:
        """Connect. Raises UnavailableError `provider_unavailable` or `provider_timeout`."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._open(origin, make)
        except TimeoutError as error:
            raise UnsentError(
                "provider_timeout", f"no connection to `{origin.host}` within {timeout_s:g} seconds"
            ) from error
        except ssl.SSLCertVerificationError as error:
            raise _unavailable(
                f"the certificate of `{origin.host}` is not trusted: {error.verify_message}"
            ) from error
        except OSError as error:
            self._resolver.forget(origin.host, origin.port)
            raise _unavailable(
                f"cannot connect to `{origin.host}:{origin.port}`: {error.strerror or error}"
            ) from error

    async def _open(self, origin: Origin, make: Callable[[], Line]) -> Line:
        loop = asyncio.get_running_loop()
        if origin.scheme == "unix":
            with address_of(Path(origin.host)) as address:
                _, line = await loop.create_unix_connection(make, address)
            return line
        context = self._context() if origin.scheme == "https" else None
        failure: OSError | None = None
        for address in await self._resolver.addresses(origin.host, origin.port):
            try:
                _, line = await loop.create_connection(
                    make,
                    address,
                    origin.port,
                    ssl=context,
                    server_hostname=origin.host if context else None,
                )
            except ssl.SSLCertVerificationError:
                raise
            except OSError as error:
                failure = error
            else:
                return line
        raise failure or OSError("the name has no address")

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = client_context()
        return self._tls


def _unavailable(message: str) -> UnavailableError:
    return UnsentError("provider_unavailable", message)
