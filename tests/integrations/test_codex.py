import tomllib

from hypothesis import given
from hypothesis import strategies as st
from tests.integrations.grants import TOKEN, URL, WHERE, content, grant

from ringfence.integrations.codex import setup

PATH = "/home/agent/.codex/config.toml"


def test_its_provider_is_the_gateway_and_it_repeats_nothing() -> None:
    made = setup(grant(), WHERE, ("codex", "exec"))
    config = tomllib.loads(content(made.files, PATH).decode())
    assert made.environment == {"CODEX_HOME": "/home/agent/.codex"}
    assert (config["model_provider"], config["model"]) == ("ringfence", "gpt")
    provider = config["model_providers"]["ringfence"]
    assert provider["base_url"] == f"{URL}/v1"
    assert provider["env_key"] == "RINGFENCE_TOKEN"
    assert provider["wire_api"] == "responses"
    assert (provider["request_max_retries"], provider["stream_max_retries"]) == (0, 0)
    assert TOKEN not in str(config)


def test_it_calls_its_makers_hosts_for_nothing() -> None:
    config = tomllib.loads(content(setup(grant(), WHERE, ("codex",)).files, PATH).decode())
    assert config["analytics"] == {"enabled": False}
    assert config["features"]["apps"] is config["features"]["plugins"] is False


def test_at_a_terminal_it_needs_no_daemon_and_asks_for_no_trust() -> None:
    config = tomllib.loads(content(setup(grant(), WHERE, ("codex",)).files, PATH).decode())
    assert config["features"]["daemon_auto_start"] is False
    assert config["projects"]["/src/shop"] == {"trust_level": "trusted"}


def test_its_servers_are_those_that_the_agent_may_use() -> None:
    config = tomllib.loads(content(setup(grant(), WHERE, ("codex",)).files, PATH).decode())
    assert config["mcp_servers"]["crm"]["url"] == f"{URL}/mcp/crm"
    assert config["mcp_servers"]["crm"]["bearer_token_env_var"] == "RINGFENCE_TOKEN"
    assert set(config["mcp_servers"]) == {"crm", "files"}


def test_without_a_model_of_its_protocol_none_is_named() -> None:
    made = setup(grant(models={"sonnet": "anthropic"}, servers=()), WHERE, ("codex",))
    config = tomllib.loads(content(made.files, PATH).decode())
    assert "model" not in config
    assert "mcp_servers" not in config


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1))
def test_any_name_of_a_model_is_written_so_that_it_is_read_again(name: str) -> None:
    made = setup(grant(models={name: "openai"}), WHERE, ("codex",))
    assert tomllib.loads(content(made.files, PATH).decode())["model"] == name
