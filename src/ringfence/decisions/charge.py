"""Charges: which accounts a call of an agent draws on, compiled once and filled per invocation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from ringfence.decisions.reservation import Demand
from ringfence.domain.agent import Agent
from ringfence.domain.budget import AccountKey, Budget, BudgetScope, Per
from ringfence.domain.caller import CallerTier
from ringfence.domain.money import Money
from ringfence.domain.organisation import Organisation, User
from ringfence.domain.user import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The budgets that hold for every call of one agent; valid for one configuration epoch.

    `invocation_limit` and `tree_limit` are the smallest that agent, team or organisation state.
    """

    organisation: str
    tz: tzinfo
    invocation_limit: Money | None
    tree_limit: Money | None
    agent: tuple[Demand, ...]
    shared: tuple[Demand, ...]
    """Of the team, then of the organisation."""


def compile_plan(
    organisation: Organisation, agent: Agent, tz: tzinfo, tiers: Iterable[CallerTier] = ()
) -> Plan:
    """Gather the budgets of an agent, its team and its organisation; all must have their ids.

    `tiers` are the caller tiers whose budgets hold too. What such a budget is drawn on by is summed
    under a holder of its own: the agent's id, a dot and the tier.
    """
    team = organisation.teams[agent.team] if agent.team is not None else None
    team_budgets = team.budgets if team is not None else ()
    org = organisation.id
    rules = [(tier, agent.tiers[tier]) for tier in tiers if tier in agent.tiers]
    narrower = tuple(budget for _, rule in rules for budget in rule.budgets)
    everything = (*narrower, *agent.budgets, *team_budgets, *organisation.budgets)
    own = tuple(
        demand
        for tier, rule in rules
        for demand in _windows(
            org, BudgetScope.AGENT, tier_holder(agent.id, tier), rule.budgets, tz
        )
    )
    shared = _windows(org, BudgetScope.ORGANISATION, org, organisation.budgets, tz)
    if team is not None:
        shared = (*_windows(org, BudgetScope.TEAM, team.id, team.budgets, tz), *shared)
    return Plan(
        organisation=org,
        tz=tz,
        invocation_limit=_smallest(everything, Per.INVOCATION),
        tree_limit=_smallest(everything, Per.TREE),
        agent=(*own, *_windows(org, BudgetScope.AGENT, agent.id, agent.budgets, tz)),
        shared=shared,
    )


def tier_holder(agent: str, tier: CallerTier) -> str:
    """Who holds the budgets of one caller tier of an agent."""
    return f"{agent}.{tier.value}"


def demands_for(
    plan: Plan,
    invocation: str,
    *,
    user: User | None = None,
    parent: Sequence[Demand] = (),
    narrowed: Money | None = None,
) -> tuple[Demand, ...]:
    """The accounts that every call of one invocation draws on, from narrowest to widest.

    `parent` is what the parent invocation draws on: its tree budgets hold here too. `narrowed` is
    the budget of an invocation token; it holds for the invocation and all below it. Keep the answer
    with the invocation: it changes only with the configuration.
    """
    budgets = user.budgets if user is not None else ()
    org, tz = plan.organisation, plan.tz
    demands: list[Demand] = []
    alone = _least(plan.invocation_limit, _smallest(budgets, Per.INVOCATION))
    if alone is not None:
        key = AccountKey(org, BudgetScope.INVOCATION, invocation, Per.INVOCATION)
        demands.append(Demand(key, alone, tz))
    tree = _least(plan.tree_limit, _smallest(budgets, Per.TREE), narrowed)
    if tree is not None:
        demands.append(Demand(AccountKey(org, BudgetScope.TREE, invocation, Per.TREE), tree, tz))
    demands += [demand for demand in parent if demand.key.scope is BudgetScope.TREE]
    demands += plan.agent
    if user is not None:
        demands += _windows(org, BudgetScope.USER, user.id, budgets, tz)
    return (*demands, *plan.shared)


def user_of(organisation: Organisation, principal: Principal) -> User | None:
    """The user as configured; one who is not named gets the organisation's defaults, if any."""
    for known in organisation.users.values():
        if known.id == principal.id:
            return known
    defaults = organisation.default_user
    if defaults is None:
        return None
    return User(
        name=principal.name,
        id=principal.id,
        models=defaults.models,
        tools=defaults.tools,
        budgets=defaults.budgets,
        calls_per_minute=defaults.calls_per_minute,
    )


def _windows(
    organisation: str, scope: BudgetScope, holder: str, budgets: Iterable[Budget], tz: tzinfo
) -> tuple[Demand, ...]:
    """One demand for each kind of window; of two budgets for the same, the smaller holds."""
    limits: dict[Per, Money] = {}
    for budget in budgets:
        if budget.per not in (Per.INVOCATION, Per.TREE):
            limits[budget.per] = min(budget.limit, limits.get(budget.per, budget.limit))
    return tuple(
        Demand(AccountKey(organisation, scope, holder, per), limit, tz)
        for per, limit in limits.items()
    )


def _smallest(budgets: Iterable[Budget], per: Per) -> Money | None:
    return min((budget.limit for budget in budgets if budget.per is per), default=None)


def _least(*limits: Money | None) -> Money | None:
    return min((limit for limit in limits if limit is not None), default=None)
