"""Masks stand where something is lacking, and go without taking anything along."""

from pathlib import Path

import pytest
from tests.sandbox.workspace.held import held

from ringfence.domain.error import UsageError
from ringfence.sandbox.workspace.mask import lacking, make, remove

_PATHS = (".git/hooks", ".claude", ".mcp.json", ".vscode")


def test_what_lacks_in_what_is_there_is_lacking(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".vscode").symlink_to("/etc")
    with held(tmp_path) as root:
        assert lacking(root, _PATHS) == (".mcp.json",)
        (tmp_path / ".git").mkdir()
        assert lacking(root, _PATHS) == (".git/hooks", ".mcp.json")
        (tmp_path / ".git").rmdir()
        (tmp_path / ".git").symlink_to("/etc")
        assert lacking(root, _PATHS) == (".mcp.json",)


def test_masks_go_if_they_are_empty_and_stay_if_somebody_has_used_them(tmp_path: Path) -> None:
    with held(tmp_path) as root:
        make(root, (".claude", ".mcp.json", ".vscode"))
        assert sorted(each.name for each in tmp_path.iterdir()) == [
            ".claude",
            ".mcp.json",
            ".vscode",
        ]
        (tmp_path / ".vscode/settings.json").write_text("mine")
        (tmp_path / ".mcp.json").rmdir()
        (tmp_path / ".mcp.json").write_text("mine")
        remove(root, (".claude", ".mcp.json", ".vscode", ".gone", "a/b"))
    assert sorted(each.name for each in tmp_path.iterdir()) == [".mcp.json", ".vscode"]


def test_a_mask_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    with held(tmp_path) as root, pytest.raises(UsageError, match=r"`x/y` .* cannot be masked"):
        make(root, ("x/y",))


def test_a_mask_takes_the_place_of_nothing(tmp_path: Path) -> None:
    (tmp_path / ".envrc").write_text("mine")
    with held(tmp_path) as root:
        make(root, (".envrc",))
    assert (tmp_path / ".envrc").read_text() == "mine"
