"""How often calls are made on behalf of each user, whichever agents make them."""

from typing import final

from ringfence.decisions import rate
from ringfence.decisions.rate import Rate
from ringfence.domain.verdict import Throttle
from ringfence.enforcement.directory import Caller


@final
class UserRates:
    """Counts the calls of each user; bounded by the users who called within the last minute."""

    def __init__(self) -> None:
        """Nobody has called."""
        self._rates: dict[str, Rate] = {}

    def take(self, caller: Caller, now_us: int) -> Throttle | None:
        """Count a call on behalf of the caller's user, if there is one, or say how long to wait."""
        user = caller.runtime.user
        if user is None or user.calls_per_minute is None:
            return None
        known = self._rates.get(user.id)
        if known is None:
            known = self._rates[user.id] = Rate()
        name = user.name or user.id
        return rate.user_call(caller.runtime.agent, name, user.calls_per_minute, known, now_us)

    def tidy(self, now_us: int) -> None:
        """Forget whom nobody has called for; call every few seconds."""
        for user, known in list(self._rates.items()):
            if known.is_idle(now_us):
                del self._rates[user]
