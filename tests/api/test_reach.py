import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.api.plane import OWNER, Plane, organisation
from tests.api.test_policy_record import tool_call

from ringfence.domain.agent import Agent, Autonomy, Category, Scope
from ringfence.domain.model import Model, Provider, ProviderProtocol
from ringfence.domain.policy import PolicySource
from ringfence.domain.tool import PermissionTier, ToolServer
from ringfence.domain.tool_rule import ToolRules
from ringfence.domain.tool_source import ToolListing

_TEXT = """\
@id("never") forbid (principal, action, resource == Tool::"crm__wipe");
@id("night")
@ask("late")
forbid (principal, action == Action::"tool.call", resource in Server::"crm")
when { context.tier != "read" && context.time.hour < 6 };
"""


@pytest.fixture
def reaching(tmp_path: Path) -> Plane:
    triage = Agent(
        name="triage",
        owner=OWNER,
        team=None,
        category=Category.BOUNDED,
        purpose="",
        scope=Scope(
            models=frozenset({"small"}),
            tools=("crm__*", "mail__*"),
            hosts=("*.example",),
            commands=("git",),
        ),
        autonomy=Autonomy.ACT_IN_SCOPE,
    )
    crm = ToolServer(
        name="crm",
        credential="CRM_TOKEN",
        tiers=(("get", PermissionTier.READ), ("erase", PermissionTier.IRREVERSIBLE)),
        rules=ToolRules(labels=(("get", frozenset({"customer_data"})),)),
    )
    house = Provider(
        name="house", protocol=ProviderProtocol.OPENAI, base_url="http://h", credential="acme/house"
    )
    plane = Plane(
        tmp_path,
        organisation(
            agents={"triage": triage},
            providers={"house": house},
            models={
                "small": Model(
                    name="small",
                    provider="house",
                    upstream="s",
                    hosted_tools=frozenset({"web_search"}),
                )
            },
            tools={"crm": crm, "mail": ToolServer(name="mail")},
            policies=PolicySource(files={"a.cedar": _TEXT}, digest="sha256:1", folder="policies"),
        ),
    )
    raw = tuple(
        json.dumps({"name": name, "inputSchema": {"type": "object"}}).encode()
        for name in ("get", "erase", "wipe", "send_offer")
    )
    plane.tools.seen(ToolListing(organisation=plane.acme.id, source="crm", raw=raw))
    return plane


def test_every_right_is_shown_with_its_gate_and_its_use(reaching: Plane) -> None:
    made = tool_call(reaching, "act_1")
    made.resource = "crm__get"
    reaching.write((made, b"{}"))
    found = reaching.ask("GET", "agents/triage/reach").json()
    rights = {each["name"]: each for each in found["reach"]["rights"]}
    assert set(rights) == {
        "small", "small: web_search", "crm__get", "crm__erase", "crm__wipe", "crm__send_offer",
        "*.example", "git",
    }  # fmt: skip
    gates = {name: (each["tier"], each["gate"]) for name, each in rights.items()}
    assert gates["crm__get"] == ("read", "sometimes")
    assert gates["crm__erase"] == ("irreversible", "sometimes")
    assert gates["crm__wipe"] == ("consequential", "deny")
    assert gates["small"] == ("read", "open")
    assert rights["crm__get"]["uses"] == 1
    assert rights["crm__get"]["labels"] == ["customer_data"]
    assert (rights["crm__get"]["credential"], rights["small"]["credential"]) == (
        "CRM_TOKEN",
        "secret:house",
    )
    assert found["unlisted"] == ["mail"]


def test_what_the_rights_add_up_to_is_shown(reaching: Plane) -> None:
    found = reaching.ask("GET", "agents/triage/reach").json()["reach"]
    (ungated,) = found["ungated"]
    assert (ungated["path"], ungated["only_if"]) == (["triage", "crm__erase"], ["night"])
    dangers = {each["what"].split(",")[0]: each for each in found["dangers"]}
    away = dangers["private data can be sent away"]
    assert away["reads"] == ["crm__get"]
    assert "crm__send_offer" in away["does"]
    unused = [(each["key"], each["pattern"]) for each in found["unused"]]
    assert ("tools", "crm__*") in unused


def test_an_agent_that_may_only_look_cannot_use_what_providers_run(reaching: Plane) -> None:
    triage = replace(reaching.acme.agents["triage"], autonomy=Autonomy.OBSERVE)
    reaching.load(replace(reaching.acme, agents={"triage": triage}))
    found = reaching.ask("GET", "agents/triage/reach").json()["reach"]
    gates = {each["name"]: each["gate"] for each in found["rights"]}
    assert (gates["small: web_search"], gates["crm__erase"]) == ("deny", "deny")
    assert found["ungated"] == []


def test_uses_are_counted_since_a_time(reaching: Plane) -> None:
    made = tool_call(reaching, "act_1")
    made.resource = "crm__get"
    reaching.write((made, b"{}"))
    later = reaching.clock.now_us() + 1
    found = reaching.ask("GET", f"agents/triage/reach?since_us={later}").json()
    assert all(each["uses"] == 0 for each in found["reach"]["rights"])


def test_an_agent_that_is_not_defined_reaches_nothing(reaching: Plane) -> None:
    assert reaching.ask("GET", "agents/ghost/reach").status == 404
