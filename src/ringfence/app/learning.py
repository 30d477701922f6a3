"""What workers have seen of providers, kept for those that start later."""

from collections import OrderedDict
from typing import Final, final

from ringfence.app.message import Learned
from ringfence.decisions.breaker import Breaker, State
from ringfence.domain.model import UpstreamKey
from ringfence.enforcement.input_bound import InputBounds
from ringfence.enforcement.provider_object import Kept

_KEPT: Final = 10_000
"""How many objects are remembered; a worker that starts later does not know older ones."""


@final
class Learning:
    """The sum of what was told, in bounded memory: the supervisor's, which acts on none of it."""

    def __init__(self) -> None:
        """Nothing was told yet."""
        self._kept: OrderedDict[tuple[str, str, str], Kept] = OrderedDict()
        self._bounds = InputBounds()
        self._breakers: dict[UpstreamKey, Breaker] = {}

    def add(self, learned: Learned) -> None:
        """Take what one worker tells."""
        for kept in learned.kept:
            key = (kept.organisation, kept.owner, kept.name)
            self._kept[key] = kept
            self._kept.move_to_end(key)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        for organisation, model, evidence in learned.seen:
            self._bounds.hear(organisation, model, evidence)
        for key, breaker in learned.breakers:
            if breaker.state is State.CLOSED:
                self._breakers.pop(key, None)
            elif key in self._breakers or len(self._breakers) < _KEPT:
                self._breakers[key] = breaker

    def reloaded(self) -> None:
        """As workers do it: nothing is held against new credentials, nor known of what is gone."""
        self._breakers.clear()

    def all(self) -> Learned:
        """Everything, as one message."""
        return Learned(
            kept=tuple(self._kept.values()),
            seen=tuple(self._bounds.known()),
            breakers=tuple(self._breakers.items()),
        )
