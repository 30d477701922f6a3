import json
from typing import Any

from tests.integrations.grants import TOKEN, URL, WHERE, content, grant

from ringfence.integrations.opencode import setup

PATH = "/home/agent/.config/opencode/opencode.json"


def config(**more: object) -> dict[str, Any]:
    made = setup(grant(**more), WHERE, ("opencode",))
    assert made.environment["OPENCODE_CONFIG"] == PATH
    found: dict[str, Any] = json.loads(content(made.files, PATH))
    return found


def test_each_protocol_has_a_provider_at_the_gateway() -> None:
    found = config()
    openai = found["provider"]["ringfence-openai"]
    assert openai["options"] == {"baseURL": f"{URL}/v1", "apiKey": TOKEN}
    assert set(openai["models"]) == {"gpt"}
    assert set(found["provider"]["ringfence-anthropic"]["models"]) == {"sonnet"}
    assert found["model"] == found["small_model"] == "ringfence-openai/gpt"


def test_a_protocol_without_a_model_has_none() -> None:
    found = config(models={"sonnet": "anthropic", "flash": "gemini"})
    assert set(found["provider"]) == {"ringfence-anthropic"}
    assert found["model"] == "ringfence-anthropic/sonnet"
    assert "model" not in config(models={})


def test_its_servers_are_those_that_the_agent_may_use() -> None:
    servers = config()["mcp"]
    assert set(servers) == {"crm", "files"}
    assert servers["crm"]["url"] == f"{URL}/mcp/crm"
    assert servers["crm"]["headers"] == {"Authorization": f"Bearer {TOKEN}"}


def test_it_has_nothing_to_fetch_at_its_start() -> None:
    files = setup(grant(), WHERE, ("opencode",)).files
    folder = "/home/agent/.config/opencode"
    wanted = json.loads(content(files, f"{folder}/package.json"))
    locked = json.loads(content(files, f"{folder}/package-lock.json"))
    assert set(wanted["dependencies"]) == {"@opencode-ai/plugin"}
    assert locked["packages"][""] == wanted
    assert any(each.path.startswith(f"{folder}/node_modules/") for each in files)
