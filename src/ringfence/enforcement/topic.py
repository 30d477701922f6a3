"""Keeps an agent to its domain: looks at what people ask it for, each message once."""

from collections import OrderedDict
from typing import Final, Protocol, final

from ringfence.decisions import reason, topic
from ringfence.decisions.topic import OffTopic
from ringfence.domain.error import PeerError
from ringfence.domain.exchange import ModelRequest
from ringfence.domain.topic import TopicRules
from ringfence.domain.verdict import Deny, Reason
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.handover import Handovers
from ringfence.enforcement.lack import Lack, Lacking
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.refusal import reason_of
from ringfence.protocols.spoken import spoken

KEPT: Final = 10_000
"""How many messages are remembered that were looked at; the conversation brings them every time."""

_Seen = tuple[TopicRules, int, int]


class Classifier(Protocol):
    """A model that is asked what a message is about, at the price of the agent that got it."""

    async def topic_of(
        self, caller: Caller, live: LiveInvocation, rules: TopicRules, text: str
    ) -> str | None:
        """The name of the topic, empty for none of them; None if there is no usable answer."""


class LackingTopic(Lacking, frozen=True, kw_only=True):
    """What messages are about that no topic fits by rule."""

    live: LiveInvocation
    rules: TopicRules
    messages: tuple[bytes, ...]


@final
class Topics:
    """One for each worker. Ask only for agents that have topics.

    The hash of a message is of this process, so that a collision cannot be made from outside.
    """

    def __init__(self, handovers: Handovers) -> None:
        """Nothing was looked at yet, and no model can be asked."""
        self.classifier: Classifier | None = None
        self._handovers = handovers
        self._seen: OrderedDict[_Seen, OffTopic | None] = OrderedDict()
        self._untold: set[_Seen] = set()
        """Those for which a task has not been handed over yet."""

    def look(
        self, live: LiveInvocation, request: ModelRequest, rules: TopicRules
    ) -> Deny | LackingTopic | None:
        """Why this call is not made; None if everything that was asked is the agent's own."""
        unclear = []
        for message in request.messages:
            key = _key(rules, message)
            if key not in self._seen:
                try:
                    text = spoken(message)
                except PeerError as error:
                    return Deny(reason=reason_of(error))
                if rules.classifier and topic.fits_none(rules, text):
                    unclear.append(message)
                    continue
                self._remember(key, topic.judge(rules, text))
            off = self._seen[key]
            if off is not None:
                return self._refused(live, off, message, key)
        if not unclear:
            return None
        return LackingTopic(
            lack=Lack.TOPIC,
            organisation=live.identity.organisation,
            live=live,
            rules=rules,
            messages=tuple(unclear),
        )

    async def ask(self, caller: Caller, lacking: LackingTopic) -> Reason | None:
        """Have a model say what messages are about; or why the call is not made.

        INVARIANT (I4): without a usable answer a task is not taken. What was answered is kept.
        """
        rules, live = lacking.rules, lacking.live
        for message in lacking.messages:
            name = None
            if self.classifier is not None:
                name = await self.classifier.topic_of(caller, live, rules, spoken(message))
            if name is None:
                return reason.topic_unjudged(live.runtime.agent, rules.classifier)
            off = topic.judge_named(rules, name)
            self._remember(_key(rules, message), off)
            if off is not None:
                break
        return None

    def _refused(self, live: LiveInvocation, off: OffTopic, message: bytes, key: _Seen) -> Deny:
        why = reason.off_topic(live.runtime.agent, off.topic)
        if key in self._untold:
            self._untold.discard(key)
            self._handovers.hand_over(live, why.message, spoken(message))
        return Deny(reason=why)

    def _remember(self, key: _Seen, off: OffTopic | None) -> None:
        self._seen[key] = off
        if off is not None:
            self._untold.add(key)
        if len(self._seen) > KEPT:
            oldest, _ = self._seen.popitem(last=False)
            self._untold.discard(oldest)


def _key(rules: TopicRules, message: bytes) -> _Seen:
    return rules, len(message), hash(message)
