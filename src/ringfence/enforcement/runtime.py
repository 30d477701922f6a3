"""One agent as one kind of caller may use it now: definition, state, routes and budgets."""

from collections.abc import Mapping
from typing import final
from weakref import WeakValueDictionary
from zoneinfo import ZoneInfo

from ringfence.decisions import rights, scope
from ringfence.decisions.charge import Plan, compile_plan, user_of
from ringfence.domain.agent import Agent, AgentState
from ringfence.domain.caller import CallerTier
from ringfence.domain.organisation import Organisation, User
from ringfence.domain.user import Principal
from ringfence.enforcement.route import Route, within

Tiers = tuple[CallerTier, ...]

_PLAIN: Tiers = (CallerTier.API,)
_NOTHING = User(name="", models=frozenset(), tools=())


@final
class AgentRuntime:
    """One agent as callers of these tiers use it, on behalf of this user, and its state.

    The object stays the same over reloads, so that open invocations see what changed. Everything
    that depends on the configuration is computed once, when an epoch is taken.
    """

    __slots__ = (
        "__weakref__",
        "_state",
        "agent",
        "definition",
        "is_barred",
        "organisation",
        "origin",
        "plan",
        "principal",
        "routes",
        "servers",
        "tiers",
        "tools",
        "user",
        "variants",
    )

    def __init__(
        self,
        organisation: Organisation,
        agent: Agent,
        *,
        origin: "AgentRuntime | None" = None,
        tiers: Tiers = _PLAIN,
        principal: Principal | None = None,
    ) -> None:
        """Begin active, without routes; `Directory.install` fills them in.

        `origin` is the agent as it is used with an agent token on nobody's behalf.
        """
        self.origin = origin
        self._state = AgentState.ACTIVE
        self.variants: WeakValueDictionary[tuple[Tiers, Principal | None], AgentRuntime] = (
            WeakValueDictionary()
        )
        self.tiers = tiers
        self.principal = principal
        if origin is None:
            self.define(organisation, agent, {})
        else:
            self.define(*origin.definition)

    def define(self, organisation: Organisation, agent: Agent, routes: Mapping[str, Route]) -> None:
        """Take the definition of a new epoch; `routes` are all of the organisation."""
        self.definition = (organisation, agent, routes)
        self.organisation = organisation
        self.user = self._user(organisation)
        self.agent = rights.narrowed(agent, self.tiers, self.user)
        # Of each list of patterns one must match: `rights.within`.
        self.tools = (agent.scope.tools, self.user.tools if self.user is not None else None)
        self.servers = scope.servers_in_scope(organisation, self.tools)
        names = self.agent.scope.models
        # A fallback out of scope is none for this caller.
        self.routes = {name: within(each, names) for name, each in routes.items() if name in names}
        zone = ZoneInfo(organisation.timezone)
        self.plan: Plan = compile_plan(organisation, self.agent, zone, self.tiers)
        for variant in list(self.variants.values()):
            variant.define(organisation, agent, routes)
            variant.follow(self._state)

    def used_by(self, tiers: Tiers, principal: Principal | None = None) -> "AgentRuntime":
        """The same agent as callers of these tiers use it, on behalf of a user if there is one."""
        origin = self.origin or self
        key = (tiers, principal)
        if key == (origin.tiers, origin.principal):
            return origin
        known = origin.variants.get(key)
        if known is None:
            organisation, agent, _ = origin.definition
            known = AgentRuntime(
                organisation, agent, origin=origin, tiers=tiers, principal=principal
            )
            known.follow(origin.state)
            origin.variants[key] = known
        return known

    def as_sub_agent(self) -> "AgentRuntime":
        """The same agent as its own sub-agent: what holds above holds below."""
        if CallerTier.SUBAGENT in self.tiers:
            return self
        return self.used_by((*self.tiers, CallerTier.SUBAGENT), self.principal)

    @property
    def id(self) -> str:
        """The agent's immutable id."""
        return self.agent.id

    @property
    def state(self) -> AgentState:
        """Where the agent stands; for a user who is not known any more it is as good as retired."""
        return self._state

    @state.setter
    def state(self, state: AgentState) -> None:
        self.follow(state)
        for variant in list(self.variants.values()):
            variant.follow(state)

    def follow(self, state: AgentState) -> None:
        """Take the state of the agent that this is a variant of."""
        self._state = AgentState.RETIRED if self.is_barred else state

    def _user(self, organisation: Organisation) -> User | None:
        self.is_barred = False
        if self.principal is None:
            return None
        user = user_of(organisation, self.principal)
        self.is_barred = user is None
        return user or _NOTHING
