"""What is known of tools, written to the state store in its own thread."""

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import final

from ringfence.analysis.tool_pin import pin_of
from ringfence.domain.error import RingfenceError
from ringfence.domain.tool_source import ToolSource
from ringfence.enforcement.tool_registry import readable
from ringfence.stores.state.tool import ToolRecords

_LOG = logging.getLogger(__name__)


@final
class AtOnce:
    """Implements `enforcement.tool_custody.Archive` for a plane that is not running."""

    def __init__(self, records: ToolRecords) -> None:
        """Write to these records."""
        self._records = records

    def keep(self, source: ToolSource) -> None:
        """Write a source as it is now; blocks. Raises UnavailableError."""
        self._records.keep(source, _listed(source))


@final
class ToolArchive:
    """Implements `enforcement.tool_custody.Archive`: one thread, so that order is kept."""

    def __init__(self, records: ToolRecords) -> None:
        """Write to these records."""
        self._records = records
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tools")

    def keep(self, source: ToolSource) -> None:
        """Write a source as it is now, after all that was told before."""
        self._thread.submit(self._keep, source)

    async def settle(self) -> None:
        """Return when everything told so far is written, or was reported as lost."""
        await asyncio.wrap_future(self._thread.submit(lambda: None))

    def close(self) -> None:
        """Write what is left."""
        self._thread.shutdown(wait=True)

    def _keep(self, source: ToolSource) -> None:
        with contextlib.suppress(RingfenceError):
            self._records.keep(source, _listed(source))
            return
        # The next listing, or the next start of the server, brings it again.
        _LOG.error(
            "what is known of tools could not be written", extra={"source": source.listing.source}
        )


def _listed(source: ToolSource) -> tuple[tuple[str, str, bytes], ...]:
    listing = source.listing
    return tuple(
        (each.key.name, pin_of(each), each.raw) for each in readable(listing.source, listing.raw)
    )
