"""The policies of every organisation in force in this process, and who is asked about an action."""

import logging
from collections.abc import Mapping

from ringfence.decisions.policy.policy_set import PolicySet
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.policy import PolicyDecision, PolicyVerdict, Question, ToolFacts

_LOG = logging.getLogger(__name__)

_UNKNOWN = PolicyDecision(
    verdict=PolicyVerdict.DENY, problem="no policies are in force for this organisation"
)
_FAILED = PolicyDecision(
    verdict=PolicyVerdict.DENY, problem="deciding failed; the failure is in Ringfence's log"
)


class Policies:
    """One for each worker. INVARIANT: used by one event loop, whose turns are its only lock."""

    def __init__(self) -> None:
        """Nothing is in force yet: everything is denied."""
        self._organisations: dict[str, Organisation] = {}
        self._tools: dict[str, Mapping[str, ToolFacts]] = {}
        self._sets: dict[str, PolicySet] = {}

    def install(self, configuration: Configuration) -> None:
        """Take the policies of a new epoch, all at once."""
        found = {each.id: each for each in configuration.organisations.values()}
        self._sets = {name: self._compiled(each) for name, each in found.items()}
        self._organisations = found

    def tools_changed(self, organisation: str, tools: Mapping[str, ToolFacts]) -> None:
        """Take what is known of an organisation's tools, by merged name; replaces all of it."""
        self._tools[organisation] = dict(tools)
        known = self._organisations.get(organisation)
        if known is not None:
            self._sets[organisation] = self._compiled(known)

    def of(self, organisation: str) -> PolicySet | None:
        """The policies of an organisation, by its id; None if it is not known."""
        return self._sets.get(organisation)

    def decide(self, question: Question) -> PolicyDecision:
        """What the policies say; what is unexpected denies (DESIGN I4)."""
        found = self._sets.get(question.organisation)
        if found is None:
            return _UNKNOWN
        try:
            return found.decide(question)
        except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected denies)
            _LOG.exception("a policy could not be decided; the action is denied")
            return _FAILED

    def may_list(self, question: Question) -> bool:
        """Whether a tool is worth showing to an agent; the arguments are not looked at."""
        found = self._sets.get(question.organisation)
        try:
            return found is not None and found.may_list(question)
        except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected is not shown)
            _LOG.exception("a policy could not be decided; the tool is not listed")
            return False

    def _compiled(self, organisation: Organisation) -> PolicySet:
        return PolicySet(organisation, (), self._tools.get(organisation.id, {}))
