"""Keeps an agent to its domain: looks at what people ask it for, each message once."""

from collections import OrderedDict
from typing import Final, final

from ringfence.decisions import reason, topic
from ringfence.decisions.topic import OffTopic
from ringfence.domain.error import PeerError
from ringfence.domain.exchange import ModelRequest
from ringfence.domain.topic import TopicRules
from ringfence.domain.verdict import Deny
from ringfence.enforcement.handover import Handovers
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.refusal import reason_of
from ringfence.protocols.spoken import spoken

KEPT: Final = 10_000
"""How many messages are remembered that were looked at; the conversation brings them every time."""

_Seen = tuple[TopicRules, int, int]


@final
class Topics:
    """One for each worker. Ask only for agents that have topics.

    The hash of a message is of this process, so that a collision cannot be made from outside.
    """

    def __init__(self, handovers: Handovers) -> None:
        """Nothing was looked at yet."""
        self._handovers = handovers
        self._seen: OrderedDict[_Seen, OffTopic | None] = OrderedDict()

    def look(self, live: LiveInvocation, request: ModelRequest, rules: TopicRules) -> Deny | None:
        """Why this call is not made; None if everything that was asked is the agent's own."""
        for message in request.messages:
            key = (rules, len(message), hash(message))
            if key in self._seen:
                off = self._seen[key]
                is_new = False
            else:
                try:
                    off = topic.judge(rules, spoken(message))
                except PeerError as error:
                    return Deny(reason=reason_of(error))
                self._remember(key, off)
                is_new = True
            if off is not None:
                return self._refused(live, off, message, is_new=is_new)
        return None

    def _refused(
        self, live: LiveInvocation, off: OffTopic, message: bytes, *, is_new: bool
    ) -> Deny:
        why = reason.off_topic(live.runtime.agent, off.topic)
        if is_new:
            self._handovers.hand_over(live, why.message, spoken(message))
        return Deny(reason=why)

    def _remember(self, key: _Seen, off: OffTopic | None) -> None:
        self._seen[key] = off
        if len(self._seen) > KEPT:
            self._seen.popitem(last=False)
