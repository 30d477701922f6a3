"""Plans name every account that a call draws on, once and with the smallest limit."""

from dataclasses import replace
from datetime import UTC

import pytest

from ringfence.decisions.charge import Plan, compile_plan, demands_for, user_of
from ringfence.decisions.reservation import Demand
from ringfence.domain.agent import Agent, Category, TierRule
from ringfence.domain.budget import Budget, Per
from ringfence.domain.caller import CallerTier
from ringfence.domain.money import Money
from ringfence.domain.organisation import Organisation, Team, User, UserDefaults
from ringfence.domain.user import Principal


def budget(limit: int, per: Per) -> Budget:
    return Budget(limit=Money(limit), per=per)


AGENT = Agent(
    id="agt_1",
    name="triage",
    owner="owner@acme.example",
    team="support",
    category=Category.BOUNDED,
    purpose="",
    budgets=(budget(5, Per.DAY), budget(2, Per.INVOCATION)),
)
ORGANISATION = Organisation(
    id="org_1",
    name="acme",
    budgets=(budget(5_000, Per.MONTH), budget(9, Per.INVOCATION), budget(8, Per.TREE)),
    default_user=UserDefaults(budgets=(budget(3, Per.DAY),), calls_per_minute=60),
    teams={"support": Team(id="team_1", name="support", budgets=(budget(200, Per.MONTH),))},
    users={"owner@acme.example": User(id="user_1", name="owner@acme.example")},
)
PLAN = compile_plan(ORGANISATION, AGENT, UTC)


def written(demands: tuple[Demand, ...]) -> list[str]:
    return [
        f"{each.key.scope.value} {each.key.holder} {each.key.per.value} {each.limit}"
        for each in demands
    ]


def test_a_call_draws_on_every_budget_from_narrowest_to_widest() -> None:
    user = user_of(ORGANISATION, Principal(id="user_2", name="stranger@acme.example"))
    assert written(demands_for(PLAN, "inv_1", user=user)) == [
        "invocation inv_1 invocation 2",
        "tree inv_1 tree 8",
        "agent agt_1 day 5",
        "user user_2 day 3",
        "team team_1 month 200",
        "organisation org_1 month 5000",
    ]


def test_an_agent_without_a_team_or_budgets_draws_on_nothing() -> None:
    bare = compile_plan(
        Organisation(id="org_1", name="acme"), replace(AGENT, team=None, budgets=()), UTC
    )
    assert demands_for(bare, "inv_1") == ()


def test_the_smaller_of_two_budgets_for_the_same_holds() -> None:
    agent = replace(AGENT, budgets=(budget(5, Per.DAY), budget(4, Per.DAY), budget(6, Per.DAY)))
    assert written(compile_plan(ORGANISATION, agent, UTC).agent) == ["agent agt_1 day 4"]


def test_no_account_is_named_twice() -> None:
    user = User(id="user_1", name="u", budgets=(budget(1, Per.INVOCATION), budget(1, Per.TREE)))
    keys = [each.key for each in demands_for(PLAN, "inv_1", user=user, narrowed=Money(1))]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(("of_user", "holds"), [(1, 1), (7, 2)])
def test_a_budget_per_invocation_is_the_smallest_that_anybody_states(
    of_user: int, holds: int
) -> None:
    user = User(id="user_1", name="u", budgets=(budget(of_user, Per.INVOCATION),))
    assert written(demands_for(PLAN, "inv_1", user=user))[0] == (
        f"invocation inv_1 invocation {holds}"
    )


def test_a_sub_agent_draws_on_the_trees_it_belongs_to_and_not_on_its_parents_own_budget() -> None:
    parent = demands_for(PLAN, "inv_root")
    child = written(demands_for(PLAN, "inv_child", parent=parent))
    assert child[:3] == [
        "invocation inv_child invocation 2",
        "tree inv_child tree 8",
        "tree inv_root tree 8",
    ]
    assert "invocation inv_root invocation 2" not in child


@pytest.mark.parametrize(("narrowed", "holds"), [(3, 3), (100, 8)])
def test_a_token_narrows_the_tree_below_it_and_never_widens_it(narrowed: int, holds: int) -> None:
    demands = demands_for(PLAN, "inv_1", narrowed=Money(narrowed))
    assert f"tree inv_1 tree {holds}" in written(demands)
    below = demands_for(PLAN, "inv_2", parent=demands)
    assert f"tree inv_1 tree {holds}" in written(below)


def test_a_narrowed_token_has_a_tree_budget_where_the_configuration_has_none() -> None:
    plan = Plan(
        organisation="org_1", tz=UTC, invocation_limit=None, tree_limit=None, agent=(), shared=()
    )
    assert written(demands_for(plan, "inv_1", narrowed=Money(4))) == ["tree inv_1 tree 4"]


def test_a_user_who_is_named_does_not_get_the_defaults() -> None:
    principal = Principal(id="user_1", name="by any other name")
    assert user_of(ORGANISATION, principal) is ORGANISATION.users["owner@acme.example"]


def test_a_user_who_is_not_named_gets_the_defaults() -> None:
    user = user_of(ORGANISATION, Principal(id="user_9", name="stranger"))
    assert user is not None
    assert (user.id, user.name, user.calls_per_minute) == ("user_9", "stranger", 60)
    assert user.budgets == (budget(3, Per.DAY),)


def test_without_defaults_nobody_acts_for_a_user_who_is_not_named() -> None:
    closed = replace(ORGANISATION, default_user=None)
    assert user_of(closed, Principal(id="user_9", name="stranger")) is None


def test_a_tier_has_budgets_of_its_own_beside_the_agents() -> None:
    rule = TierRule(budgets=(budget(1, Per.DAY), budget(1, Per.INVOCATION)))
    agent = replace(AGENT, tiers={CallerTier.BACKGROUND: rule})
    plain = compile_plan(ORGANISATION, agent, UTC, (CallerTier.API,))
    assert written(demands_for(plain, "inv_1")) == written(demands_for(PLAN, "inv_1"))
    background = compile_plan(ORGANISATION, agent, UTC, (CallerTier.BACKGROUND,))
    assert written(demands_for(background, "inv_1"))[:4] == [
        "invocation inv_1 invocation 1",
        "tree inv_1 tree 8",
        "agent agt_1.background day 1",
        "agent agt_1 day 5",
    ]


def test_shared_accounts_are_the_same_objects_for_every_invocation() -> None:
    one, two = demands_for(PLAN, "inv_1"), demands_for(PLAN, "inv_2")
    assert one[-1] is two[-1]
