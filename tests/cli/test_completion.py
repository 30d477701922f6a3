import os
import subprocess
import sys

import pytest
from tests.cli.installation import Installation, call


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str) -> None:
    result = call("completion", shell)
    assert result.code == 0
    assert "_RINGFENCE_COMPLETE" in result.out


def test_an_unknown_shell_is_wrong_use() -> None:
    assert call("completion", "tcsh").code == 2


def completed(words: str, plane: Installation) -> list[str]:
    """What a shell is offered for the last of these words."""
    environment = {
        **os.environ,
        "_RINGFENCE_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        "RINGFENCE_DATA": str(plane.data),
    }
    done = subprocess.run(
        [sys.executable, "-m", "ringfence"], env=environment, stdout=subprocess.PIPE, check=False
    )
    return [line.partition(",")[2] for line in done.stdout.decode().splitlines()]


def test_commands_complete(plane: Installation) -> None:
    assert completed("ringfence tr", plane) == ["trace"]


def test_agents_complete(plane: Installation) -> None:
    assert completed("ringfence agent show tr", plane) == ["triage"]
