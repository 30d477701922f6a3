"""What policies say of a model call; costs nothing while none of them speaks of models."""

import msgspec

from ringfence.decisions.policy.refusal import refusal_of
from ringfence.domain.action import ActionKind
from ringfence.domain.exchange import ModelRequest
from ringfence.domain.policy import PolicyVerdict
from ringfence.domain.tool import PermissionTier
from ringfence.domain.verdict import Deny
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.policy import Policies, question_of
from ringfence.enforcement.route import Route, within
from ringfence.enforcement.runtime import AgentRuntime

_ENCODER = msgspec.json.Encoder()


class ModelPolicies:
    """Asks the policies about every model that a call could go to."""

    def __init__(self, policies: Policies) -> None:
        """Ask these."""
        self._policies = policies

    def judge(
        self, live: LiveInvocation, route: Route, request: ModelRequest, now_us: int
    ) -> Route | Deny:
        """What policies leave of a route: no fallback that they forbid, nor a forbidden model.

        A model call cannot wait for a person: where one would have to be asked, it is refused.
        """
        found = self._policies.of(live.runtime.organisation.id)
        if found is None:
            return route
        agent = live.runtime.agent.name
        is_gated = bool(request.hosted_tools) and found.gates_hosted_tools(agent)
        if not (is_gated or found.speaks_of_models):
            return route
        reads = is_gated or found.reads_requests or found.gates_hosted_tools(agent)
        arguments = _arguments(request) if reads else b""
        allowed: set[str] = set()
        for leg in route.legs:
            question = question_of(
                live,
                ActionKind.MODEL_CALL,
                leg.model.name,
                tier=PermissionTier.READ,
                arguments=arguments,
                now_us=now_us,
            )
            decision = self._policies.decide(question)
            if decision.verdict is PolicyVerdict.ALLOW:
                allowed.add(leg.model.name)
            elif leg.model is route.model:
                return Deny(reason=refusal_of(live.runtime.agent, question, decision))
        return within(route, allowed)

    def may_list(self, runtime: AgentRuntime, model: str, now_us: int) -> bool:
        """Whether a model is worth showing to an agent."""
        found = self._policies.of(runtime.organisation.id)
        if found is None or not found.speaks_of_models:
            return True  # whether it may use the provider's tools hides no model
        tier = PermissionTier.READ
        question = question_of(runtime, ActionKind.MODEL_CALL, model, tier=tier, now_us=now_us)
        return self._policies.may_list(question)


def _arguments(request: ModelRequest) -> bytes:
    """What policies may read of a request: see `decisions.policy.schema.ARGUMENTS_OF`."""
    return _ENCODER.encode(
        {
            "operation": request.dialect.value,
            "stream": request.stream,
            "tools": sorted(set(request.tools)),
            "hosted_tools": sorted({tool.name for tool in request.hosted_tools}),
        }
    )
