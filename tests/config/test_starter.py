from pathlib import Path

import pytest

from ringfence.config.loading import load
from ringfence.config.starter import TEXT, write_starter
from ringfence.domain.error import UsageError

_COMMENTED = ("  # ", "    # ", "# secrets:")


def test_the_starter_is_valid_as_it_is_without_any_variable(tmp_path: Path) -> None:
    path = tmp_path / "ringfence.yaml"
    write_starter(path)
    loaded = load(path, {})
    assert loaded.notes == ()
    assert loaded.secret_names == frozenset()
    assert set(loaded.configuration.organisations["my-organisation"].agents) == {
        "assistant",
        "coder",
    }


def test_what_is_commented_out_is_valid_too(tmp_path: Path) -> None:
    """Every `# ` before something that looks like YAML is taken away."""
    lines = [
        line.replace("# ", "", 1) if line.startswith(_COMMENTED) and ":" in line else line
        for line in TEXT.splitlines()
        if not line.startswith("  # A model server")
    ]
    path = tmp_path / "ringfence.yaml"
    path.write_text("\n".join(lines))
    keys = (
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "GEMINI_API_KEY",
        "AZURE_OPENAI_API_KEY",
        "CRM_TOKEN",
    )
    loaded = load(path, dict.fromkeys(keys, "x"))
    organisation = loaded.configuration.organisations["my-organisation"]
    assert set(organisation.providers) == {"house", "openai", "anthropic", "gemini", "azure"}
    assert len(organisation.models) == 4
    assert set(organisation.secrets) == organisation.agents["assistant"].secrets == {"crm-api"}
    assert set(organisation.tools) == {"claude", "crm", "files"}
    assert organisation.agents["assistant"].scope.tools == ("crm__*", "files__read_*")
    assert loaded.secret_names == set(keys)


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "ringfence.yaml"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists already") as raised:
        write_starter(path)
    assert raised.value.code == "already_exists"
    assert path.read_text() == "mine"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or directory") as raised:
        write_starter(tmp_path / "nowhere" / "ringfence.yaml")
    assert raised.value.code == "not_writable"
