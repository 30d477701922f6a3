import pytest
from tests.integrations.grants import TOKEN, WHERE, grant

from ringfence.integrations.known_agent import setup
from ringfence.sandbox.assembly import Setup

AGENTS = ("claude", "codex", "copilot", "opencode")


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("folder", ["", "/opt/tools/bin/", "./"])
def test_a_known_agent_is_known_by_its_programs_name_wherever_it_lies(
    name: str, folder: str
) -> None:
    assert setup(grant(), WHERE, (f"{folder}{name}", "x")) != Setup()


@pytest.mark.parametrize("name", ["bash", "claude-other", "python3"])
def test_any_other_command_is_left_as_it_is(name: str) -> None:
    assert setup(grant(), WHERE, (name,)) == Setup()


@pytest.mark.parametrize("name", AGENTS)
def test_what_is_written_lies_in_the_sandboxs_own_home_and_holds_no_ticket(name: str) -> None:
    made = setup(grant(), WHERE, (name,))
    assert made.files
    for file in made.files:
        assert file.path.startswith("/home/agent/.")
        assert b"rf_tkt" not in file.content
    assert "rf_tkt" not in repr(made.environment)
    assert TOKEN in repr(made) or "RINGFENCE_TOKEN" in repr(made)
