from dataclasses import replace

import pytest

from ringfence.decisions import sandbox
from ringfence.domain.agent import Agent, Category, SandboxTier, Scope
from ringfence.domain.error import UsageError

AGENT = Agent(
    name="a",
    owner="o@acme.example",
    team=None,
    category=Category.BOUNDED,
    purpose="",
    sandbox=SandboxTier.REDUCED,
    scope=Scope(hosts=("api.example.com",)),
)


def test_what_nobody_asks_for_is_the_agents_own_minimum() -> None:
    assert sandbox.tier(AGENT, None) is SandboxTier.REDUCED


def test_a_caller_may_raise_the_tier() -> None:
    assert sandbox.tier(AGENT, SandboxTier.STRICT) is SandboxTier.STRICT


def test_a_caller_may_not_lower_it() -> None:
    with pytest.raises(UsageError, match="its least is `reduced`") as caught:
        sandbox.tier(AGENT, SandboxTier.NONE)
    assert caught.value.code == "sandbox_tier"


@pytest.mark.parametrize(
    "scope",
    [Scope(hosts=("h.example",)), Scope(models=frozenset({"m"})), Scope(tools=("s__t",))],
)
def test_an_agent_that_may_use_something_is_run(scope: Scope) -> None:
    sandbox.check_reach(replace(AGENT, scope=scope))


def test_an_empty_allow_list_is_not_taken_for_all() -> None:
    with pytest.raises(UsageError, match="an empty list allows nothing") as caught:
        sandbox.check_reach(replace(AGENT, scope=Scope(commands=("git",))))
    assert caught.value.code == "allow_list_empty"


def test_a_sandboxs_token_works_on_its_own_listener() -> None:
    assert sandbox.misplaced("sbx_1", "sbx_1") is None


@pytest.mark.parametrize("other", [None, "sbx_2"])
def test_a_sandboxs_token_works_nowhere_else(other: str | None) -> None:
    assert sandbox.misplaced("sbx_1", other) is not None


def test_an_agents_token_works_outside_of_every_sandbox() -> None:
    assert sandbox.misplaced("crd_1", None) is None
    assert sandbox.misplaced("crd_1", "sbx_1") is not None


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        (["/srv/a"], ["/srv/a"], "/srv/a"),
        (["/srv/a/b"], ["/srv/a"], "/srv/a/b"),
        (["/srv/a"], ["/srv/x", "/srv/a/b"], "/srv/a/b"),
        (["/srv/a"], ["/srv/ab"], ""),
        (["/srv/a"], [], ""),
    ],
)
def test_folders_that_two_may_change_are_the_inner_of_them(
    first: list[str], second: list[str], shared: str
) -> None:
    assert sandbox.shared_folder(first, second) == shared
