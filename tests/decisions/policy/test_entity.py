import pytest
from tests.decisions.policy.asking import organisation, question

from ringfence.decisions.policy.entity import entities_of, parties_of, server_of
from ringfence.domain.action import ActionKind


def test_a_tool_is_in_its_server_and_in_every_pattern_that_fits() -> None:
    whole = organisation()
    patterns = ("crm__*", "crm__re?und", "mail__*")
    parties = parties_of(whole.agents["triage"], question(), whole, patterns)
    assert parties.resource_groups == {
        ("Server", "crm"),
        ("Pattern", "crm__*"),
        ("Pattern", "crm__re?und"),
    }
    assert parties.principal_groups == {("Team", "support")}


def test_a_model_is_in_its_provider() -> None:
    whole = organisation()
    asked = question("small", action=ActionKind.MODEL_CALL)
    assert parties_of(whole.agents["triage"], asked, whole, ()).resource_groups == {
        ("Provider", "house")
    }


@pytest.mark.parametrize(
    ("action", "resource", "attributes"),
    [
        (
            ActionKind.TOOL_CALL,
            "crm__refund",
            {"name": "refund", "server": "crm", "labels": ["customer_data"]},
        ),
        (ActionKind.MODEL_CALL, "small", {"name": "small", "provider": "house"}),
        (ActionKind.HTTP_REQUEST, "10.0.0.1", {"name": "10.0.0.1", "is_private": True}),
        (ActionKind.SHELL_EXEC, "git", {"name": "git"}),
    ],
)
def test_a_resource_has_the_attributes_of_its_kind(
    action: ActionKind, resource: str, attributes: object
) -> None:
    whole = organisation()
    agent = whole.agents["triage"]
    parties = parties_of(agent, question(resource, action=action), whole, ())
    found = entities_of(agent, parties, whole, {"customer_data"})
    assert found[1]["attrs"] == attributes


def test_an_agent_that_calls_itself_is_one_entity() -> None:
    whole = organisation()
    agent = whole.agents["triage"]
    asked = question("triage", action=ActionKind.AGENT_CALL)
    parties = parties_of(agent, asked, whole, ())
    (only,) = entities_of(agent, parties, whole, ())
    assert only["attrs"]["category"] == "bounded"


def test_a_tools_server_stands_before_the_first_double_underscore() -> None:
    assert server_of("crm__a__b") == "crm"
