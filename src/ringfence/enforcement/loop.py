"""Watches invocations for loops and for requests that only ever fail.

Reads what is new in a conversation since the last call, and only where a tool has just answered.
What looks like a threshold by that is read once more, from this request alone, before anything is
done: two branches of a conversation may have come in turn, and only the request is the truth.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import msgspec

from ringfence.decisions import loop, reason, retry
from ringfence.decisions.loop import Loop, Repetition
from ringfence.decisions.retry import Retried
from ringfence.domain.error import PeerError
from ringfence.domain.exchange import ModelRequest, ToolUse
from ringfence.domain.model import Dialect
from ringfence.domain.verdict import AddHint, Deny, Reason, Refused, Stop
from ringfence.enforcement.finding import FindingLog
from ringfence.enforcement.live import Conversation, LiveInvocation
from ringfence.enforcement.refusal import reason_of
from ringfence.protocols.chat import round as chat
from ringfence.protocols.gemini import round as gemini
from ringfence.protocols.hint import hinted
from ringfence.protocols.messages import round as messages
from ringfence.protocols.responses import round as responses
from ringfence.protocols.round import Reader
from ringfence.protocols.strict_json import Edit, Span

_CONVERSATIONS_KEPT = 8
"""Of one invocation, side by side; the one that was quiet longest is forgotten."""
_READ_AT_ONCE = 512
"""How many messages of a conversation that is new here are looked at."""
_SAMPLE_BYTES = 96
_OPENING = 2
"""By how many messages a conversation is known: the system's, and the first of a person."""


class _Dialect(msgspec.Struct, frozen=True):
    is_result: Callable[[bytes], bool]
    read: Reader
    hint_edits: Callable[[bytes, Span, str], list[Edit]]


_DIALECTS: Mapping[Dialect, _Dialect] = {
    Dialect.CHAT: _Dialect(chat.is_result, chat.read, chat.hint_edits),
    Dialect.RESPONSES: _Dialect(responses.is_result, responses.read, responses.hint_edits),
    Dialect.MESSAGES: _Dialect(messages.is_result, messages.read, messages.hint_edits),
    Dialect.GEMINI: _Dialect(gemini.is_result, gemini.read, gemini.hint_edits),
}


class Hinted(msgspec.Struct, frozen=True, kw_only=True):
    """A request with a hint for the model. `is_new`: the loop was not noticed before."""

    request: ModelRequest
    obligation: AddHint | None
    """None where the last result is of a form that takes no text."""
    loop: Loop
    is_new: bool


class Loops:
    """Looks at calls before they are made; one for each worker, its state with each invocation."""

    def __init__(self, findings: FindingLog) -> None:
        """Nothing to keep but where findings go."""
        self._findings = findings
        self.on_failed: Callable[[Retried], None] = lambda _retried: None
        """Told of requests that failed at their provider, and of a run whose requests fail no more.

        What is refused here costs no provider anything: each worker counts that for itself.
        """

    def look(self, live: LiveInvocation, request: ModelRequest) -> Hinted | Refused | None:
        """What is to be done about this call; None if nothing, which is quick.

        Ask only for requests that declare tools.
        """
        dialect = _DIALECTS.get(request.dialect)
        given = request.messages
        if dialect is None or not given or not dialect.is_result(given[-1]):
            return None
        limits = live.runtime.agent.loops
        talk = _conversation(live, given)
        _read_on(talk, dialect, given)
        if loop.decide(limits, talk.repetition) is None:
            talk.noticed = None
            return None
        talk.repetition = Repetition()
        talk.read = max(0, len(given) - _READ_AT_ONCE)
        _read_on(talk, dialect, given)
        found = loop.decide(limits, talk.repetition)
        if found is None:
            return None
        if found.stops:
            agent = live.runtime.agent
            why = reason.loop_stopped(agent, found.period, found.times, found.tools)
            return Stop(reason=why)
        return _hint(talk, dialect, request, found)

    def heard(self, live: LiveInvocation, use: ToolUse) -> Loop | None:
        """What a tool call and its result make of a run whose conversation is not seen here.

        Where model calls pass, they tell more: then nothing is said twice.
        """
        if live.conversations is not None:
            return None
        if live.tool_calls is None:
            live.tool_calls = Conversation()
        talk = live.tool_calls
        talk.repetition.take((use,))
        found = loop.decide(live.runtime.agent.loops, talk.repetition)
        if found is None:
            talk.noticed = None
            return None
        tools = frozenset(found.tools)
        if talk.noticed != tools and not found.stops:
            self.found(live, found)
        talk.noticed = tools
        return found

    def found(self, live: LiveInvocation, found: Loop) -> None:
        """Put a loop on the record."""
        detail = {
            "kind": found.kind.value,
            "period": str(found.period),
            "times": str(found.times),
            "tools": ", ".join(found.tools),
        }
        self._findings.found(live, "loop", detail)

    def stopped(self, live: LiveInvocation, why: Reason) -> None:
        """An invocation is stopped for what was noticed; say so on the record."""
        facts = dict(why.facts)
        kind = "retries" if facts.get("loop") == "retries" else "loop"
        self._findings.found(live, kind, facts | {"stops": "true"})

    def retried(self, live: LiveInvocation, request: ModelRequest) -> Refused | None:
        """Whether a request may go that may be the one which keeps failing.

        Ask only where `live.failing` is something. While another call of the invocation is on its
        way nothing is stopped: the agent has more to do than this.
        """
        if live.failing is None:
            return None
        now_us = self._findings.clock.monotonic_us()
        verdict = retry.decide(live.runtime.agent, live.failing, hash(request.body), now_us)
        return None if isinstance(verdict, Stop) and live.running else verdict

    def failed(
        self, live: LiveInvocation, request: ModelRequest, began_us: int, *, may_pass: bool
    ) -> None:
        """A call was refused, or its provider failed and waiting may help.

        `began_us` is on the monotonic clock.
        """
        now_us = self._findings.clock.monotonic_us()
        mark = hash(request.body)
        self._failed(live, mark, began_us, now_us, may_pass=may_pass)
        if may_pass:
            self.on_failed(
                Retried(invocation=live.id, fingerprint=mark, began_us=began_us, failed_us=now_us)
            )

    def succeeded(self, live: LiveInvocation) -> None:
        """A call of a run whose requests failed has not failed: all is forgotten."""
        failing, live.failing = live.failing, None
        if failing is not None and failing.may_pass:
            self.on_failed(
                Retried(invocation=live.id, fingerprint=failing.fingerprint, is_over=True)
            )

    def hear(self, live: LiveInvocation, retried: Retried) -> None:
        """What another worker has noticed of a run."""
        if retried.is_over:
            live.failing = None
        else:
            began_us, failed_us = retried.began_us, retried.failed_us
            live.failing = retry.failed(
                live.failing, retried.fingerprint, began_us, failed_us, may_pass=True
            )

    def _failed(
        self, live: LiveInvocation, mark: int, began_us: int, now_us: int, *, may_pass: bool
    ) -> None:
        before = live.failing
        live.failing = now = retry.failed(before, mark, began_us, now_us, may_pass=may_pass)
        if now is not before and now.times == retry.FREE and live.is_recorded:
            self._findings.found(live, "retries", {"times": str(now.times)})


def _conversation(live: LiveInvocation, given: Sequence[bytes]) -> Conversation:
    known = live.conversations
    if known is None:
        known = live.conversations = OrderedDict()
    opening = tuple(
        [(len(each), each[:_SAMPLE_BYTES], each[-_SAMPLE_BYTES:]) for each in given[:_OPENING]]
    )
    talk = known.get(opening)
    if talk is None:
        talk = known[opening] = Conversation()
        if len(known) > _CONVERSATIONS_KEPT:
            known.popitem(last=False)
    else:
        known.move_to_end(opening)
    return talk


def _read_on(talk: Conversation, dialect: _Dialect, given: Sequence[bytes]) -> None:
    """Read what is new; all of it if the conversation has become shorter."""
    if len(given) < talk.read:
        talk.repetition = Repetition()
        talk.read = 0
    start = max(talk.read, len(given) - _READ_AT_ONCE)
    found = dialect.read(given, start)
    for each in found.rounds:
        talk.repetition.take(each)
    talk.read = found.read


def _hint(
    talk: Conversation, dialect: _Dialect, request: ModelRequest, found: Loop
) -> Hinted | Deny | None:
    text = reason.loop_hint(found.period, found.times, found.tools)
    try:
        edits = dialect.hint_edits(request.body, request.message_spans[-1], text)
    except PeerError as error:
        return Deny(reason=reason_of(error))
    tools = frozenset(found.tools)  # a cycle is the same wherever in it one looks
    is_new = talk.noticed != tools
    talk.noticed = tools
    return Hinted(
        request=hinted(request, edits) if edits else request,
        obligation=AddHint(text=text) if edits else None,
        loop=found,
        is_new=is_new,
    )
