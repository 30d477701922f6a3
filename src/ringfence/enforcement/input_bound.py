"""What calls have shown of the input tokens that bodies amount to, and the bounds made of it."""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from ringfence.decisions import input_bound, model_call
from ringfence.decisions.input_bound import Evidence
from ringfence.domain.exchange import ModelRequest
from ringfence.domain.usage import Usage
from ringfence.enforcement.route import Leg, Route

_NOTHING_SEEN = Evidence()


class InputBounds:
    """The evidence of one worker, by (organisation, model)."""

    def __init__(self, evidence: Mapping[tuple[str, str], Evidence] | None = None) -> None:
        """`evidence` is what earlier calls have shown."""
        self._evidence: dict[tuple[str, str], Evidence] = dict(evidence or {})
        self.on_learn: Callable[[str, str, Evidence], None] | None = None
        """Told of an organisation, a model and what is now known, when a bound has to rise."""

    def tokens(self, organisation: str, route: Route, request: ModelRequest) -> int:
        """The most that any leg can count; `model_call.check` has refused what has no bound."""
        most = 0
        for leg in route.legs:
            seen = self._evidence.get((organisation, leg.model.name), _NOTHING_SEEN)
            size = len(request.body)
            bound = input_bound.bound(leg.model, seen, size, request.images, request.media)
            if bound is not None and request.hosted_tools:
                bound = model_call.with_hosted(leg.model, request, bound)
            if bound is not None and bound > most:
                most = bound
        return most

    def learn(self, organisation: str, leg: Leg, request: ModelRequest, usage: Usage) -> None:
        """Take a provider's count of a body that was all text as evidence for the next bound."""
        if usage.estimated or request.is_beyond_text:
            return
        key = (organisation, leg.model.name)
        state = self._evidence.get(key, _NOTHING_SEEN)
        known = input_bound.learn(state, len(request.body), usage.input_tokens)
        self._evidence[key] = known
        if self.on_learn is not None and _is_higher(known, state):
            self.on_learn(*key, known)

    def known(self) -> Iterator[tuple[str, str, Evidence]]:
        """By organisation and model."""
        for (organisation, model), evidence in self._evidence.items():
            yield organisation, model, evidence

    def hear(self, organisation: str, model: str, seen: Evidence) -> None:
        """Never stay below the highest that another worker has seen (design note 003)."""
        key = (organisation, model)
        state = self._evidence.get(key, _NOTHING_SEEN)
        if _is_higher(seen, state):
            self._evidence[key] = msgspec.structs.replace(
                state,
                highest_ppm=max(seen.highest_ppm, state.highest_ppm),
                framing_tokens=max(seen.framing_tokens, state.framing_tokens),
            )


def _is_higher(one: Evidence, other: Evidence) -> bool:
    return one.highest_ppm > other.highest_ppm or one.framing_tokens > other.framing_tokens
