"""An answer on its way to an agent, which passes only while this process has authority."""

from abc import ABC, abstractmethod

from ringfence.domain.verdict import Reason
from ringfence.enforcement.authority import LAPSED, Authority
from ringfence.transport.http import UpstreamResponse


class Relay(ABC):
    """Implements `transport.http.Sink` as far as all doors do it alike.

    What comes without authority is held, and nothing more is read, until it is renewed (note 012).
    """

    __slots__ = ("_authority", "_has_ended", "_held", "_is_done", "_upstream")

    def __init__(self, upstream: UpstreamResponse, authority: Authority) -> None:
        """Nothing has come yet."""
        self._upstream = upstream
        self._authority = authority
        self._held: list[bytes] | None = None
        """What came while this process had no authority; None while it has."""
        self._has_ended = False
        self._is_done = False

    @abstractmethod
    def data(self, chunk: bytes) -> None:
        """Some bytes of the answer."""

    @abstractmethod
    def end(self) -> None:
        """The answer is whole."""

    @abstractmethod
    def cut(self, reason: Reason) -> None:
        """End it for that reason."""

    def _is_withheld(self, chunk: bytes = b"") -> bool:
        """Whether nothing may be written now; then what has come is kept."""
        if self._held is None:
            if self._authority.is_fresh:
                return False
            self._held = []
            self._upstream.pause()
            self._authority.when_fresh(self._resume)
        self._held.append(chunk)
        return True

    def _resume(self, is_fresh: bool) -> None:  # noqa: FBT001 (a callback's only argument)
        if self._is_done:
            return
        if not is_fresh:
            self.cut(LAPSED)
            return
        held, self._held = self._held or [], None
        late = b"".join(held)
        if late:
            self.data(late)
        self._go_on()

    def _go_on(self) -> None:
        if self._is_done or self._held is not None:
            return
        if self._has_ended:
            self.end()
        self._upstream.resume()
