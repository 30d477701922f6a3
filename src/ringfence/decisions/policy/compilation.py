"""From an organisation's definition and files to the policies that decide."""

from collections.abc import Mapping

from ringfence.decisions.policy.policy_set import PolicySet
from ringfence.decisions.policy.source import read_source
from ringfence.domain.organisation import Organisation
from ringfence.domain.policy import ToolFacts

_NO_TOOLS: Mapping[str, ToolFacts] = {}


def compile_policies(
    organisation: Organisation, tools: Mapping[str, ToolFacts] = _NO_TOOLS
) -> PolicySet:
    """The policies of an organisation.

    INVARIANT: files are validated before they come here. If one cannot be read after all, nothing
    is allowed: to go on without it could lose a `forbid`.
    """
    if organisation.policies is None:
        return PolicySet(organisation, (), tools)
    source = read_source(organisation.policies.files)
    problem = ""
    if source.faults:
        first = source.faults[0]
        problem = f"the policies cannot be read: {first.file}:{first.line}: {first.what}"
    return PolicySet(organisation, source.rules, tools, problem=problem)
