"""When an event is durable, for whoever waits: a future that can also tell in the same turn."""

import asyncio
from collections.abc import Callable
from typing import final


@final
class Durable(asyncio.Future[None]):
    """Ends when its event is durable; fails if it never will be."""

    _told: Callable[[], None] | None = None

    def tell(self, told: Callable[[], None]) -> None:
        """Call once when it has ended, before any callback: a turn of the loop earlier."""
        self._told = told

    def set_result(self, result: None, /) -> None:
        """It is."""
        super().set_result(result)
        self._say()

    def set_exception(self, exception: type[BaseException] | BaseException, /) -> None:
        """It is not."""
        super().set_exception(exception)
        self._say()

    def cancel(self, msg: object = None) -> bool:
        """Nobody will know."""
        is_cancelled = super().cancel(msg)
        self._say()
        return is_cancelled

    def _say(self) -> None:
        told, self._told = self._told, None
        if told is not None:
            try:
                told()
            except Exception as error:  # noqa: BLE001 (others who wait are to be told, too)
                self.get_loop().call_exception_handler(
                    {"message": "who waited for an event failed", "exception": error}
                )


def when_ended(durable: asyncio.Future[None], told: Callable[[], None]) -> None:
    """Call as soon as it has ended; at once if it has."""
    if durable.done():
        told()
    elif isinstance(durable, Durable):
        durable.tell(told)
    else:
        durable.add_done_callback(lambda _: told())
