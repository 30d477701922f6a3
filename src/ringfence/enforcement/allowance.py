"""What calls may hold of a worker's memory at one time, all together and for each credential."""

from dataclasses import dataclass
from typing import final

from ringfence.decisions import reason
from ringfence.domain.verdict import Throttle
from ringfence.enforcement.directory import Caller

_RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowanceLimits:
    """How much may be held at one time. One credential's share leaves room for others."""

    bytes_in_all: int = 512 * 1024 * 1024
    bytes_per_credential: int = 128 * 1024 * 1024
    calls_per_credential: int = 256


@dataclass(slots=True)
class _Share:
    """What one credential holds now."""

    calls: int = 0
    held_bytes: int = 0


class Allowance:
    """Counts the calls and the bytes of bodies that are held; one for each worker."""

    def __init__(self, limits: AllowanceLimits | None = None) -> None:
        """Nothing is held."""
        self.limits = limits or AllowanceLimits()
        self.held_bytes = 0
        self._shares: dict[str, _Share] = {}

    def enter(self, caller: Caller) -> "Portion | Throttle":
        """Begin a call; it must `leave`, whatever happens to it."""
        share = self._shares.get(caller.credential)
        if share is None:
            share = self._shares[caller.credential] = _Share()
        elif share.calls >= self.limits.calls_per_credential:
            why = reason.too_many_at_once(caller.runtime.agent, self.limits.calls_per_credential)
            return Throttle(reason=why, retry_after_s=_RETRY_AFTER_S)
        share.calls += 1
        return Portion(self, caller, share)

    def forget(self, caller: Caller) -> None:
        """Nothing of this credential is held any more."""
        del self._shares[caller.credential]


@final
class Portion:
    """What one call holds, given back all at once when the call is over."""

    __slots__ = ("_allowance", "_caller", "_held_bytes", "_share")

    def __init__(self, allowance: Allowance, caller: Caller, share: _Share) -> None:
        """Made by `Allowance.enter` alone."""
        self._allowance = allowance
        self._caller = caller
        self._share = share
        self._held_bytes = 0

    def take(self, size: int) -> Throttle | None:
        """Hold so many bytes more; or why that is not possible now."""
        allowance, share = self._allowance, self._share
        limits = allowance.limits
        if (
            share.held_bytes + size > limits.bytes_per_credential
            or allowance.held_bytes + size > limits.bytes_in_all
        ):
            why = reason.memory_used(self._caller.runtime.agent)
            return Throttle(reason=why, retry_after_s=_RETRY_AFTER_S)
        allowance.held_bytes += size
        share.held_bytes += size
        self._held_bytes += size
        return None

    def leave(self) -> None:
        """The call is over; called once."""
        self._allowance.held_bytes -= self._held_bytes
        self._share.held_bytes -= self._held_bytes
        self._share.calls -= 1
        if not self._share.calls:
            self._allowance.forget(self._caller)
