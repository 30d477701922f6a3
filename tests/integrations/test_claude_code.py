import json

from tests.integrations.grants import TOKEN, URL, WHERE, content, grant

from ringfence.integrations.claude_code import setup

HOME = "/home/agent/.claude"


def test_it_calls_its_models_at_the_gateway_with_the_sandboxs_token() -> None:
    made = setup(grant(), WHERE, ("claude", "-p", "hi"))
    assert made.environment["ANTHROPIC_BASE_URL"] == URL
    assert made.environment["ANTHROPIC_AUTH_TOKEN"] == TOKEN
    assert made.environment["ANTHROPIC_API_KEY"] == ""
    assert made.environment["ANTHROPIC_MODEL"] == "sonnet"
    assert made.environment["ANTHROPIC_DEFAULT_SONNET_MODEL"] == "sonnet"
    assert made.environment["CLAUDE_CODE_MAX_RETRIES"] == "1"
    assert made.command == ()


def test_a_model_that_its_user_chose_stays() -> None:
    for command in (("claude", "--model", "opus"), ("claude", "--model=opus")):
        assert "ANTHROPIC_MODEL" not in setup(grant(), WHERE, command).environment


def test_an_agent_without_such_a_model_gets_none() -> None:
    made = setup(grant(models={"gpt": "openai"}), WHERE, ("claude",))
    assert "ANTHROPIC_MODEL" not in made.environment


def test_its_hooks_ask_about_its_own_tools_and_not_about_those_of_servers() -> None:
    made = setup(grant(), WHERE, ("claude",))
    settings = json.loads(content(made.files, f"{HOME}/settings.json"))
    assert set(settings["hooks"]) == {"PreToolUse", "PostToolUse", "PostToolUseFailure"}
    (entry,) = settings["hooks"]["PreToolUse"]
    (hook,) = entry["hooks"]
    assert hook["url"] == f"{URL}/ringfence/v1/hooks/claude-code/own"
    assert hook["headers"]["Authorization"] == "Bearer $RINGFENCE_TOKEN"
    assert TOKEN not in json.dumps(settings)
    assert settings["permissions"]["allow"] == ["mcp__crm", "mcp__files"]


def test_its_provider_is_not_asked_to_judge_what_it_does() -> None:
    made = setup(grant(), WHERE, ("claude",))
    settings = json.loads(content(made.files, f"{HOME}/settings.json"))
    assert settings["disableAutoMode"] == "disable"
    assert settings["permissions"]["defaultMode"] == "default"


def test_an_agent_that_declares_no_tools_of_its_own_has_no_hooks() -> None:
    made = setup(grant(own_tools=()), WHERE, ("claude",))
    assert "hooks" not in json.loads(content(made.files, f"{HOME}/settings.json"))


def test_its_servers_are_those_that_the_agent_may_use() -> None:
    made = setup(grant(), WHERE, ("claude",))
    state = json.loads(content(made.files, f"{HOME}/.claude.json"))
    assert state["mcpServers"]["crm"] == {
        "type": "http",
        "url": f"{URL}/mcp/crm",
        "headers": {"Authorization": f"Bearer {TOKEN}"},
    }
    assert set(state["mcpServers"]) == {"crm", "files"}
    assert state["hasCompletedOnboarding"] is True


def test_it_does_not_ask_whether_its_folders_are_trusted() -> None:
    made = setup(grant(), WHERE, ("claude",))
    projects = json.loads(content(made.files, f"{HOME}/.claude.json"))["projects"]
    assert set(projects) == {"/src/shop/web", "/src/shop"}
    assert all(each["hasTrustDialogAccepted"] for each in projects.values())


def test_the_settings_that_hold_its_hooks_cannot_be_written_by_it() -> None:
    files = {each.path: each.is_writable for each in setup(grant(), WHERE, ("claude",)).files}
    assert files == {f"{HOME}/settings.json": False, f"{HOME}/.claude.json": True}
