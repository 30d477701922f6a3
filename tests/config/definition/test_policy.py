from collections.abc import Callable
from pathlib import Path

import pytest

from ringfence.config.loading import Loaded

MISSING = "3:11: no policies folder `policies/` | make it, or remove the key"
PRESENT = (
    "3:11: policies folder `policies/` holds policy files"
    " | policy files are not enforced yet by this version; remove them or the key"
)
TEXT = "format: 1\norganisation: acme\npolicies: policies/\n"


def test_a_folder_that_is_missing_is_refused(problems_of: Callable[..., list[str]]) -> None:
    assert problems_of(TEXT) == [MISSING]


@pytest.mark.parametrize("name", ["a.cedar", "deep/er/b.cedar"])
def test_a_rule_that_would_be_ignored_is_refused(
    name: str, tmp_path: Path, problems_of: Callable[..., list[str]]
) -> None:
    file = tmp_path / "policies" / name
    file.parent.mkdir(parents=True)
    file.touch()
    assert problems_of(TEXT) == [PRESENT]


def test_a_folder_without_rules_is_noted(
    tmp_path: Path, load_text: Callable[..., Loaded], notes_of: Callable[..., list[str]]
) -> None:
    (tmp_path / "policies").mkdir()
    assert load_text(TEXT).configuration.organisations["acme"].policies == "policies/"
    assert len(notes_of(TEXT)) == 1


def test_a_file_is_no_folder(tmp_path: Path, problems_of: Callable[..., list[str]]) -> None:
    (tmp_path / "policies").touch()
    assert problems_of(TEXT) == [MISSING]
