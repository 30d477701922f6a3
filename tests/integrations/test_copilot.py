import json

from tests.integrations.grants import TOKEN, URL, WHERE, content, grant

from ringfence.integrations.copilot import setup


def test_its_provider_is_the_gateway_and_it_needs_no_login() -> None:
    made = setup(grant(), WHERE, ("copilot",)).environment
    assert made["COPILOT_PROVIDER_TYPE"] == "openai"
    assert made["COPILOT_PROVIDER_BASE_URL"] == f"{URL}/v1"
    assert made["COPILOT_PROVIDER_API_KEY"] == TOKEN
    assert made["COPILOT_MODEL"] == "gpt"


def test_it_speaks_the_other_protocol_where_there_is_only_that() -> None:
    made = setup(grant(models={"sonnet": "anthropic"}), WHERE, ("copilot",)).environment
    assert made["COPILOT_PROVIDER_TYPE"] == "anthropic"
    assert made["COPILOT_PROVIDER_BASE_URL"] == URL
    assert made["COPILOT_MODEL"] == "sonnet"


def test_without_a_model_none_is_named() -> None:
    made = setup(grant(models={}), WHERE, ("copilot",)).environment
    assert "COPILOT_MODEL" not in made


def test_its_servers_are_those_that_the_agent_may_use() -> None:
    made = setup(grant(), WHERE, ("copilot",))
    assert made.environment["COPILOT_HOME"] == "/home/agent/.copilot"
    written = json.loads(content(made.files, "/home/agent/.copilot/mcp-config.json"))
    assert written["mcpServers"]["crm"]["url"] == f"{URL}/mcp/crm"
    assert written["mcpServers"]["crm"]["tools"] == ["*"]


def test_it_does_not_ask_whether_the_folders_of_its_run_are_trusted() -> None:
    made = setup(grant(), WHERE, ("copilot",))
    written = json.loads(content(made.files, "/home/agent/.copilot/config.json"))
    assert written == {"trustedFolders": ["/src/shop/web", "/src/shop"]}
