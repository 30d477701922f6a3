from pathlib import Path

import pytest

from ringfence.config.loading import load
from ringfence.config.policy_case import read_cases
from ringfence.config.policy_library import STARTERS, filled, write_starter
from ringfence.config.problem import Problems
from ringfence.decisions.policy.case import Trial, try_cases
from ringfence.decisions.policy.policy_set import PolicySet
from ringfence.decisions.policy.source import read_source
from ringfence.domain.error import UsageError
from ringfence.domain.policy import PolicyVerdict

_FILLS = {
    "agent": "desk",
    "server": "crm",
    "tool": "crm__transfer",
    "amount": "amount",
    "model": "small",
}
_CONFIG = """\
format: 1
organisation: {name: acme, timezone: Europe/Berlin}
policies: policies
users: {ann@acme.example: {}}
providers: {house: {protocol: openai, base_url: "http://127.0.0.1:9/v1"}}
models: {small: {provider: house, price: {input: 1, output: 1}}}
tools:
  crm: {url: "http://127.0.0.1:9/mcp"}
  demo: {url: "http://127.0.0.1:9/mcp"}
agents:
  desk:
    owner: ann@acme.example
    purpose: Help.
    models: [small]
    tools: ["crm__*", "demo__*"]
    hosts: [api.example.com]
    commands: [git, rm, curl]
"""


def _try(folder: Path, name: str) -> Trial:
    (folder / "policies").mkdir()
    write_starter(name, folder / "policies", _FILLS)
    path = folder / "ringfence.yaml"
    path.write_text(_CONFIG, encoding="utf-8")
    organisation = load(path, {}).configuration.organisations["acme"]
    assert organisation.policies is not None
    problems = Problems()
    cases = read_cases(organisation, folder / "policies", problems)
    problems.check()
    rules = read_source(organisation.policies.files).rules
    return try_cases(PolicySet(organisation, rules), cases)


@pytest.mark.parametrize("name", STARTERS)
def test_every_starter_passes_its_cases_and_each_policy_decides_in_one(
    name: str, tmp_path: Path
) -> None:
    trial = _try(tmp_path, name)
    assert [(each.case.name, each.wrong, each.decision) for each in trial.failed] == []
    assert trial.untested == []
    verdicts = {each.decision.verdict for each in trial.tried}
    assert PolicyVerdict.ALLOW in verdicts
    assert len(verdicts) > 1


@pytest.mark.parametrize("name", STARTERS)
def test_a_starter_asks_for_each_name_that_it_needs(name: str, tmp_path: Path) -> None:
    for fill in STARTERS[name].fills:
        with pytest.raises(UsageError) as caught:
            write_starter(name, tmp_path, {**_FILLS, fill: ""})
        assert f"--{fill}" in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_ones_own_is_overwritten(tmp_path: Path) -> None:
    write_starter("read-only", tmp_path, _FILLS)
    (tmp_path / "read-only-desk.cedar").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        write_starter("read-only", tmp_path, _FILLS)
    assert (tmp_path / "read-only-desk.cedar").read_text() == "mine"


def test_an_unknown_starter_is_told_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        write_starter("read-onyl", tmp_path, _FILLS)
    assert "read-only" in caught.value.help


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write_starter("read-only", tmp_path / "absent", _FILLS)


def test_only_whole_words_are_filled_in() -> None:
    assert filled('Agent::"AGENT" AGENTS', {"agent": r"a\1"}) == r'Agent::"a\1" AGENTS'
