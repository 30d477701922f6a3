"""All policies of one organisation at one epoch, cut into slices as questions come."""

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from ringfence.decisions.destination import host_pattern
from ringfence.decisions.failure_rule import labels_of
from ringfence.decisions.policy.entity import (
    entities_of,
    models_of,
    parties_of,
    server_of,
)
from ringfence.decisions.policy.fact import Surroundings
from ringfence.decisions.policy.rule import Parties, Rule, can_bind, can_concern
from ringfence.decisions.policy.schema import ARGUMENTS_OF
from ringfence.decisions.policy.scope import compile_agent, gates_hosted_tools
from ringfence.decisions.policy.shape import EMPTY, Shape, shape_of
from ringfence.decisions.policy.slice import About, Compilations, Slice
from ringfence.decisions.policy.validation import method_shape, problem_with
from ringfence.decisions.scope import BUILT_IN
from ringfence.domain.action import ActionKind
from ringfence.domain.organisation import Organisation
from ringfence.domain.policy import PolicyDecision, PolicyVerdict, Question, ToolFacts

SLICES_KEPT = 10_000
"""Agents times tools of a large installation; beyond that the oldest is cut anew."""

_NOTHING = PolicyDecision(verdict=PolicyVerdict.DENY, problem="this agent is not defined")
_NO_TOOLS: Mapping[str, ToolFacts] = {}


class PolicySet:
    """Answers questions for one organisation; belongs to one thread.

    Nothing is compiled before it is asked for: an organisation whose agents only call models, and
    has no file that speaks of models, never loads Cedar.
    """

    def __init__(
        self,
        organisation: Organisation,
        rules: Sequence[Rule] = (),
        tools: Mapping[str, ToolFacts] = _NO_TOOLS,
        *,
        problem: str = "",
    ) -> None:
        """`rules` are those of the files; `tools` by merged name.

        With a `problem` everything is denied.
        """
        self._problem_of_all = problem
        self._organisation = organisation
        self._files = tuple(rules)
        self._tools = tools
        self._place = Surroundings(
            zone=ZoneInfo(organisation.timezone), environment=organisation.environment
        )
        self._compilations = Compilations()
        self._bound: dict[tuple[str, ActionKind], Sequence[Rule]] = {}
        self._unfit: dict[tuple[tuple[str, ...], bytes], str] = {}
        self._scopes: dict[str, tuple[Rule, ...]] = {}
        self._slices: dict[tuple[str, ActionKind, str], Slice] = {}
        self._listing: dict[tuple[str, ActionKind, str], Slice] = {}
        named = frozenset[str]().union(*(rule.patterns for rule in rules))
        scopes = (agent.scope for agent in organisation.agents.values())
        declared = (
            each
            for scope in scopes
            for each in (*scope.tools, *map(host_pattern, scope.hosts), *scope.commands)
        )
        self._patterns = tuple(sorted(named.union(declared)))
        self._spoken = [rule for rule in rules if models_of(rule, organisation)]
        self._read = [rule for rule in self._spoken if rule.reads_arguments]

    @property
    def files(self) -> Sequence[Rule]:
        """The policies that files hold."""
        return self._files

    @property
    def speaks_of_models(self) -> bool:
        """Whether any file has a policy about a call of a model."""
        return bool(self._spoken) or bool(self._problem_of_all)

    @property
    def reads_requests(self) -> bool:
        """Whether any of these reads what such a call asks for."""
        return bool(self._read)

    def gates_hosted_tools(self, agent: str) -> bool:
        """Whether an agent's own autonomy has a say in its calls with tools of the provider."""
        found = self._organisation.agents.get(agent)
        return found is not None and gates_hosted_tools(found)

    def decide(self, question: Question, tool: ToolFacts | None = None) -> PolicyDecision:
        """What the policies in force say; anything they cannot say for sure is a denial.

        `tool` is what is in force of it at this moment; None for what the set was made with.
        """
        found = self.slice_of(question, tool)
        return _NOTHING if found is None else found.decide(question)

    def may_list(self, question: Question, tool: ToolFacts | None = None) -> bool:
        """Whether a tool is worth showing: whether some arguments could be allowed or asked for."""
        whole = self.slice_of(question, tool)
        if whole is None:
            return False
        if not whole.reads_arguments:
            return whole.decide(question).verdict is not PolicyVerdict.DENY
        key = (question.agent, question.action, question.resource)
        found = self._listing.get(key)
        if found is None or found.tool != whole.tool:
            rules = [rule for rule in whole.rules if not rule.reads_arguments]
            found = self._kept(
                self._listing,
                key,
                self._cut(question, self._parties(question), rules, whole.tool),
            )
        return not whole.problem and found.decide(question).verdict is not PolicyVerdict.DENY

    def settled(
        self, question: Question, tool: ToolFacts | None = None
    ) -> tuple[PolicyDecision, tuple[str, ...]]:
        """What holds whatever a call says and whenever it is, and the forbids that also depend.

        A condition on the tier alone depends on nothing: the question states it.
        """
        whole = self.slice_of(question, tool)
        if whole is None:
            return _NOTHING, ()
        fixed = [rule for rule in whole.rules if _is_fixed(rule)]
        decision = self._cut(question, self._parties(question), fixed, whole.tool).decide(question)
        depends = [rule.id for rule in whole.rules if rule.is_forbid and not _is_fixed(rule)]
        return decision, tuple(depends)

    def rules_of(self, agent: str) -> Sequence[Rule]:
        """Everything that an agent's definition says, as policies; compiled when first asked."""
        known = self._scopes.get(agent)
        if known is None:
            known = self._scopes[agent] = compile_agent(self._organisation.agents[agent])
        return known

    def slice_of(self, question: Question, tool: ToolFacts | None = None) -> Slice | None:
        """The policies that can matter to a question; None if nobody knows its agent."""
        key = (question.agent, question.action, question.resource)
        found = self._slices.get(key)
        if found is not None and (tool is None or found.tool is tool or found.tool == tool):
            return found
        if question.agent not in self._organisation.agents:
            return None
        parties = self._parties(question)
        resource, groups = parties.resource, parties.resource_groups
        bound = self._bound_to(question, parties)
        rules = [rule for rule in bound if can_concern(rule, resource, groups)]
        known = tool or self._tools.get(question.resource)
        return self._kept(self._slices, key, self._cut(question, parties, rules, known))

    def _bound_to(self, question: Question, parties: Parties) -> Sequence[Rule]:
        """The policies about an agent and a kind of action, whatever the resource."""
        key = (question.agent, question.action)
        known = self._bound.get(key)
        if known is None:
            every = (*self.rules_of(question.agent), *self._files)
            known = [rule for rule in every if can_bind(rule, parties)]
            self._bound[key] = known
        return known

    def _kept(
        self,
        slices: dict[tuple[str, ActionKind, str], Slice],
        key: tuple[str, ActionKind, str],
        cut: Slice,
    ) -> Slice:
        if key not in slices and len(slices) >= SLICES_KEPT:
            del slices[next(iter(slices))]
        slices[key] = cut
        return cut

    def _parties(self, question: Question) -> Parties:
        agent = self._organisation.agents[question.agent]
        return parties_of(agent, question, self._organisation, self._patterns)

    def _cut(
        self,
        question: Question,
        parties: Parties,
        rules: Sequence[Rule],
        tool: ToolFacts | None,
    ) -> Slice:
        agent = self._organisation.agents[question.agent]
        is_read = any(rule.reads_arguments for rule in rules)
        shape = self._shape(question, tool) if is_read else EMPTY
        about = About(
            entities=entities_of(agent, parties, self._organisation, self._labels(question, tool)),
            shape=shape or EMPTY,
            place=self._place,
            tool=tool,
            compilations=self._compilations,
        )
        problem = self._problem_of_all or self._problem(question, rules, shape, tool)
        return Slice(rules, parties, about, problem=problem)

    def _problem(
        self,
        question: Question,
        rules: Sequence[Rule],
        shape: Shape | None,
        tool: ToolFacts | None,
    ) -> str:
        """Why the policies cannot judge the arguments; empty if they can, or need not."""
        reading = [rule for rule in rules if rule.reads_arguments]
        if not reading:
            return ""
        if shape is None:
            return f"policy `{reading[0].id}` reads arguments of a tool that is not known yet"
        if question.action is not ActionKind.TOOL_CALL:
            return ""
        # Validating takes milliseconds, and many tools have the same arguments.
        if tool is None:
            return problem_with(reading, shape)
        key = (tuple(rule.id for rule in reading), tool.input_schema)
        if key not in self._unfit:
            if len(self._unfit) >= SLICES_KEPT:
                self._unfit.clear()
            self._unfit[key] = problem_with(reading, shape)
        return self._unfit[key]

    def _labels(self, question: Question, tool: ToolFacts | None) -> frozenset[str]:
        """What the configuration says that a tool brings into a run, and what is known besides."""
        known = frozenset[str]() if tool is None else tool.labels
        server_name, _, name = question.resource.partition("__")
        server = self._organisation.tools.get(server_name)
        is_tool = question.action is ActionKind.TOOL_CALL and server is not None
        return known | labels_of(server.rules, name) if is_tool and server else known

    def _shape(self, question: Question, tool: ToolFacts | None) -> Shape | None:
        """What the arguments of an action look like; None for a tool that nobody has listed."""
        if question.action is not ActionKind.TOOL_CALL:
            return ARGUMENTS_OF[question.action]
        if tool is not None:
            return shape_of(tool.input_schema)
        is_built_in = server_of(question.resource) == BUILT_IN.name
        return EMPTY if is_built_in else method_shape(question.resource)


def _is_fixed(rule: Rule) -> bool:
    return (rule.reads | rule.tests) <= {("tier",)}
