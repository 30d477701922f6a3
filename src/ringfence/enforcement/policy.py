"""The policies of every organisation in force in this process, and who is asked about an action."""

import logging
from collections.abc import Mapping

from ringfence.decisions.policy import engine
from ringfence.decisions.policy.compilation import compile_policies
from ringfence.decisions.policy.policy_set import PolicySet
from ringfence.decisions.policy.rule import ARGUMENTS
from ringfence.domain.action import ActionKind
from ringfence.domain.caller import CallerTier
from ringfence.domain.organisation import Configuration
from ringfence.domain.policy import PolicyDecision, PolicyVerdict, Question, ToolFacts
from ringfence.domain.tool import PermissionTier
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.runtime import AgentRuntime

_LOG = logging.getLogger(__name__)

_UNKNOWN = PolicyDecision(
    verdict=PolicyVerdict.DENY, problem="no policies are in force for this organisation"
)
_FAILED = PolicyDecision(
    verdict=PolicyVerdict.DENY, problem="deciding failed; the failure is in Ringfence's log"
)

_PATH = (ARGUMENTS, "path")


def question_of(  # noqa: PLR0913 (a question has these facts)
    where: LiveInvocation | AgentRuntime,
    action: ActionKind,
    resource: str,
    *,
    tier: PermissionTier,
    now_us: int,
    arguments: bytes = b"",
    seen: frozenset[str] = frozenset(),
) -> Question:
    """One action of an invocation, or of an agent outside of any, with every fact about it.

    `seen` are the labels of what the invocation has read so far.
    """
    runtime = where.runtime if isinstance(where, LiveInvocation) else where
    agent, principal = runtime.agent, runtime.principal
    return Question(
        organisation=runtime.organisation.id,
        agent=agent.name,
        team=agent.team,
        category=agent.category,
        caller_tier=_tier(runtime.tiers),
        chain=_names(where),
        user=None if principal is None else principal.name or principal.id,
        action=action,
        resource=resource,
        tier=tier,
        arguments=arguments,
        seen=seen,
        now_us=now_us,
    )


def _tier(tiers: tuple[CallerTier, ...]) -> CallerTier:
    """Of an agent that acts below itself, the tier that says so."""
    return CallerTier.SUBAGENT if CallerTier.SUBAGENT in tiers else tiers[0]


def _names(where: LiveInvocation | AgentRuntime) -> tuple[str, ...]:
    """The delegation chain in names: the user if there is one, then every agent down to this."""
    if isinstance(where, LiveInvocation) and where.parent is not None:
        return (*_names(where.parent), where.runtime.agent.name)
    runtime = where.runtime if isinstance(where, LiveInvocation) else where
    user = runtime.principal
    above = () if user is None else (user.name or user.id,)
    return (*above, runtime.agent.name)


def facts_of(decision: PolicyDecision) -> Mapping[str, str]:
    """What the record says of the policies that decided."""
    facts = {"policies": ", ".join(decision.policies), "content": decision.content}
    return {name: value for name, value in facts.items() if value}


class Policies:
    """One for each worker. INVARIANT: used by one event loop, whose turns are its only lock."""

    def __init__(self) -> None:
        """Nothing is in force yet: everything is denied."""
        self._sets: dict[str, PolicySet] = {}

    def install(self, configuration: Configuration) -> None:
        """Take the policies of a new epoch, all at once."""
        organisations = configuration.organisations.values()
        if any(each.tools or each.policies is not None for each in organisations):
            engine.load()  # now, and not while a call waits
        self._sets = {each.id: compile_policies(each) for each in organisations}

    def of(self, organisation: str) -> PolicySet | None:
        """The policies of an organisation, by its id; None if it is not known."""
        return self._sets.get(organisation)

    def decide(self, question: Question, tool: ToolFacts | None = None) -> PolicyDecision:
        """What the policies say; what is unexpected denies (I4).

        `tool` is what is in force of the tool that is asked about.
        """
        found = self._sets.get(question.organisation)
        if found is None:
            return _UNKNOWN
        try:
            return found.decide(question, tool)
        except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected denies)
            _LOG.exception("a policy could not be decided; the action is denied")
            return _FAILED

    def reads_path(self, question: Question) -> bool:
        """Whether the path of a request matters to any policy about it; yes if nobody knows."""
        found = self._sets.get(question.organisation)
        slice_ = None if found is None else found.slice_of(question)
        return slice_ is None or slice_.reads(_PATH)

    def reads_arguments(self, question: Question) -> bool:
        """The same of anything in its arguments."""
        found = self._sets.get(question.organisation)
        slice_ = None if found is None else found.slice_of(question)
        return slice_ is None or slice_.reads_arguments

    def may_list(self, question: Question, tool: ToolFacts | None = None) -> bool:
        """Whether a tool is worth showing to an agent; the arguments are not looked at."""
        found = self._sets.get(question.organisation)
        try:
            return found is not None and found.may_list(question, tool)
        except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected is not shown)
            _LOG.exception("a policy could not be decided; the tool is not listed")
            return False
