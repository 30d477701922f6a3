"""What scope and policies say of a request through egress, kept while nothing they read changes."""

from typing import Final, final

import msgspec

from ringfence.decisions import destination as rule
from ringfence.decisions import permission, reason
from ringfence.decisions.injection import Injected
from ringfence.decisions.policy.refusal import refusal_of
from ringfence.domain.action import ActionKind
from ringfence.domain.destination import Destination
from ringfence.domain.event import Decision
from ringfence.domain.policy import PolicyDecision, PolicyVerdict, Question
from ringfence.domain.tool import PermissionTier
from ringfence.domain.verdict import Reason
from ringfence.enforcement.credential_injection import Injections
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.policy import Policies, facts_of, question_of
from ringfence.enforcement.runtime import AgentRuntime

_KEPT: Final = 2048
"""Of all sandboxes of a worker."""
_PATH_BYTES: Final = 512
"""Agents choose the text of paths: what was judged of a longer one is not kept."""
_FIXED: Final = 5
"""So much of a key does not depend on the path."""
_MINUTE_US: Final = 60_000_000
"""As exact as policies know the time (`decisions.policy.fact`)."""


class Asked(msgspec.Struct, frozen=True):
    """What is judged of a request. Two that are equal are judged alike in one invocation."""

    destination: Destination
    method: str
    path: bytes
    path_text: str
    doubt: str
    is_tunnel: bool
    is_injected: bool
    """Whether secrets are added here, and not by the agent itself."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A request that may be made, as far as it does not depend on how many there were."""

    decision: PolicyDecision
    tier: PermissionTier
    injected: Injected | None
    """What is done to it because of secrets; None if its host has none."""
    secrets: tuple[str, ...]
    """The names of the secrets that are added."""
    resource: str
    allowed: Decision
    """As its intent says it."""
    permission: str
    """Likewise, the tier."""


_Key = tuple[object, ...]
"""Invocation, minute, and of the request destination, method and whether it is a tunnel; its path
too where a policy reads any argument."""


class _Kept(msgspec.Struct):
    """What was said, and everything it was read from but for the request and the minute."""

    judged: Judged
    asked: Asked
    """The last that it was said of."""
    runtime: AgentRuntime
    definition: object
    policies: object
    seen: frozenset[str]
    reads_arguments: bool

    def holds(self, runtime: AgentRuntime, policies: object, live: LiveInvocation) -> bool:
        """Whether the same would be said again."""
        return (
            self.runtime is runtime
            and self.definition is runtime.definition
            and self.policies is policies
            and self.seen == live.tree.seen
        )


@final
class HttpJudgements:
    """Asks scope and policies about requests; one for each worker.

    INVARIANT: what is kept is given again only to the same runtime, as it is defined now, under the
    same set of policies, in the same minute, in the same invocation with the same labels: that is
    all which a question to the policies says (`enforcement.policy.question_of`).
    """

    def __init__(self, policies: Policies, injections: Injections) -> None:
        """Nothing was asked yet."""
        self._policies = policies
        self._injections = injections
        self._kept: dict[_Key, _Kept] = {}

    def judge(
        self, runtime: AgentRuntime, live: LiveInvocation, asked: Asked, now_us: int
    ) -> Judged | Reason:
        """What they say of a request; `runtime` is that of whoever asks."""
        if live.parent is not None or live.runtime is not runtime:
            return self._judge(runtime, live, asked, now_us)
        policies = self._policies.of(live.identity.organisation)
        minute = now_us // _MINUTE_US
        key: _Key = (live.identity.id, minute, asked.destination, asked.method, asked.is_tunnel)
        kept = self._kept.get(key)
        if kept is not None and kept.reads_arguments:
            key = (*key, asked.path)
            kept = self._kept.get(key)
        if kept is not None and kept.holds(runtime, policies, live):
            if kept.asked != asked:
                kept.judged = self._injected(kept.judged, runtime, asked)
                kept.asked = asked
            return kept.judged
        judged = self._judge(runtime, live, asked, now_us)
        if isinstance(judged, Judged) and len(asked.path) <= _PATH_BYTES:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            now = (runtime, runtime.definition, policies, live.tree.seen)
            kept = _Kept(judged, asked, *now, self._reads_arguments(live, asked, now_us))
            self._kept[key] = kept
            if kept.reads_arguments:
                self._kept[*key[:_FIXED], asked.path] = kept
        return judged

    def _injected(self, judged: Judged, runtime: AgentRuntime, asked: Asked) -> Judged:
        """The same for another path, which may be for other secrets."""
        injected = None
        if asked.is_injected:
            method = asked.method.encode("latin-1")
            injected = self._injections.choose(runtime, asked.destination, method, asked.path)
        if injected is judged.injected:
            return judged
        names = () if injected is None else injected.names
        return msgspec.structs.replace(judged, injected=injected, secrets=names)

    def _reads_arguments(self, live: LiveInvocation, asked: Asked, now_us: int) -> bool:
        return self._policies.reads_arguments(_question(live, asked, now_us))

    def _judge(
        self, runtime: AgentRuntime, live: LiveInvocation, asked: Asked, now_us: int
    ) -> Judged | Reason:
        agent, to = runtime.agent, asked.destination
        outside = rule.in_scope(agent, to, live.hosts)
        if outside is not None:
            return outside
        question = _question(live, asked, now_us)
        if asked.doubt and self._policies.reads_path(question):
            return reason.destination_uncertain(
                agent, f"{asked.doubt}, and policies judge its path"
            )
        decision = self._policies.decide(question)
        if decision.verdict is PolicyVerdict.DENY:
            return refusal_of(agent, question, decision)
        judged = Judged(
            decision=decision,
            tier=question.tier,
            injected=None,
            secrets=(),
            resource=to.resource,
            allowed=Decision(verdict="allow", facts=dict(facts_of(decision))),
            permission=question.tier.name.lower(),
        )
        return self._injected(judged, runtime, asked)


def _question(live: LiveInvocation, asked: Asked, now_us: int) -> Question:
    return question_of(
        live,
        ActionKind.HTTP_REQUEST,
        asked.destination.host,
        tier=permission.tier_of_request(asked.method, is_tunnel=asked.is_tunnel),
        now_us=now_us,
        arguments=_arguments(asked),
        seen=live.tree.seen,
    )


def _arguments(asked: Asked) -> bytes:
    """What policies may read of it."""
    to = asked.destination
    return msgspec.json.encode(
        {
            "method": asked.method,
            "scheme": to.scheme,
            "port": to.port,
            "path": asked.path_text,
        }
    )
