import asyncio

import pytest
from tests.gateways.world import (
    RATES,
    World,
    agent,
    always,
    chat,
    code_of,
    error_of,
    model,
    organisation,
    respond,
    whole,
)

from ringfence.domain.agent import Autonomy, Scope
from ringfence.domain.organisation import Organisation
from ringfence.domain.policy import PolicySource
from ringfence.domain.price import RateCard

_FALLBACK = {"small": model("small", fallback=("other",)), "other": model("other", "spare")}


def _organisation(text: str, **more: object) -> Organisation:
    source = PolicySource(files={"a.cedar": text}, digest="sha256:policies")
    return organisation(policies=source, **more)


def _ask(text: str, body: object = None, **more: object) -> tuple[int, World]:
    async def story() -> tuple[int, World]:
        world = World(_organisation(text, **more))
        response = await world.ask(body=body)
        world.check_books()
        return response.status, world

    return asyncio.run(story())


@pytest.mark.parametrize(
    ("condition", "body", "status"),
    [
        ('action == Action::"model.call", resource == Model::"small")', None, 403),
        ('action == Action::"model.call", resource == Model::"other")', None, 200),
        ('action, resource in Provider::"house")', None, 403),
        ('action == Action::"tool.call", resource)', None, 200),
        ('action, resource) when { context.caller == "api" }', None, 403),
        ('action, resource) when { context.caller == "background" }', None, 200),
        ("action, resource) when { context.arguments.stream }", chat(), 200),
        ("action, resource) when { context.arguments.stream }", chat(stream=True), 403),
        ('action, resource) when { context.user == "eve" }', None, 403),
    ],
)
def test_a_policy_on_models_is_kept(condition: str, body: object, status: int) -> None:
    found, world = _ask(f"forbid (principal, {condition};", body)
    assert found == status
    assert len(world.providers.sent) == (1 if status == 200 else 0)
    assert (len(world.ledger.intents), len(world.ledger.refusals)) == (
        (1, 0) if status == 200 else (0, 1)
    )


def test_what_is_out_of_scope_is_told_like_what_does_not_exist() -> None:
    async def story() -> None:
        world = World(_organisation("forbid (principal, action, resource);"))
        response = await world.ask(body=chat(model="large"))
        assert code_of(response) == "out_of_scope"
        refused = await world.ask()
        assert code_of(refused) == "policy_denied"
        assert error_of(refused)["ringfence"]["policies"] == "a.cedar#1"

    asyncio.run(story())


def test_every_event_names_the_policies_in_force() -> None:
    _, world = _ask('forbid (principal, action, resource == Model::"other");')
    (intent,), (outcome,) = world.ledger.intents, world.ledger.outcomes
    assert intent.policy == outcome.policy == "sha256:policies"
    _, world = _ask("forbid (principal, action, resource);")
    assert world.ledger.refusals[0].policy == "sha256:policies"


def test_a_fallback_that_a_policy_forbids_is_none() -> None:
    async def story(text: str) -> list[str]:
        scope = Scope(models=frozenset({"small", "other"}))
        agents = {"triage": agent(scope=scope)}
        world = World(_organisation(text, models=_FALLBACK, agents=agents))
        world.providers.answering = always(lambda: whole({"error": {"message": "down"}}, 500))
        await world.ask()
        world.check_books()
        return [str(sent.json["model"]) for sent in world.providers.sent]

    assert "other-upstream" in asyncio.run(
        story('forbid (principal, action, resource == Tool::"a__b");')
    )
    assert "other-upstream" not in asyncio.run(
        story('forbid (principal, action, resource == Model::"other");')
    )


def test_a_model_that_can_never_be_called_is_not_listed() -> None:
    async def story() -> None:
        scope = Scope(models=frozenset({"small", "other"}))
        text = (
            'forbid (principal, action, resource == Model::"other");'
            'forbid (principal, action, resource == Model::"small")'
            " when { context.arguments.stream };"
        )
        world = World(_organisation(text, agents={"triage": agent(scope=scope)}))
        listing = await world.ask("/v1/models", b"", method="GET")
        assert b"small" in listing.body
        assert b"other" not in listing.body

    asyncio.run(story())


def test_a_reload_brings_other_policies() -> None:
    async def story() -> None:
        world = World(_organisation("forbid (principal, action, resource);"))
        assert (await world.ask()).status == 403
        await world.reload(organisation())
        assert (await world.ask()).status == 200
        await world.reload(_organisation("forbid (principal, action, resource);"))
        assert (await world.ask()).status == 403

    asyncio.run(story())


def test_without_policies_on_models_none_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("ringfence.enforcement.policy.Policies.decide", fail)
    assert _ask('forbid (principal, action == Action::"tool.call", resource);')[0] == 200


@pytest.mark.parametrize(
    ("autonomy", "tools", "status"),
    [
        (Autonomy.OBSERVE, [{"type": "web_search"}], 403),
        (Autonomy.OBSERVE, [], 200),
        (Autonomy.ASK_ALWAYS, [{"type": "web_search"}], 403),
        (Autonomy.ASK_IRREVERSIBLE, [{"type": "web_search"}], 200),
    ],
)
def test_the_providers_tools_need_an_autonomy_that_lets_them(
    autonomy: Autonomy, tools: list[object], status: int
) -> None:
    searching = model(
        "small",
        price=RateCard(rates=RATES, hosted=(("web_search", 1),)),
        hosted_tools=frozenset({"web_search"}),
        hosted_uses=1,
        hosted_tokens=0,
    )

    async def story() -> None:
        whole_ = organisation(
            models={"small": searching}, agents={"triage": agent(autonomy=autonomy)}
        )
        world = World(whole_)
        response = await world.ask("/v1/responses", respond(tools=tools))
        assert response.status == status
        if status == 403:
            assert code_of(response) == "policy_denied"

    asyncio.run(story())
