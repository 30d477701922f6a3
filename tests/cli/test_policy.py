import pytest
from tests.cli.installation import Installation

_POLICY = """\
@id("night")
@reason("nobody is there")
forbid (principal == Agent::"triage", action == Action::"model.call", resource)
when { context.time.hour < 6 };
"""
_CASES = """\
cases:
  - {agent: triage, model: small, at: "2026-01-07 03:00", expect: deny, by: [night]}
  - {agent: triage, model: small, expect: allow}
"""


@pytest.fixture
def governed(stopped: Installation) -> Installation:
    path = stopped.folder / "ringfence.yaml"
    path.write_text(path.read_text() + "policies: policies/\n")
    folder = stopped.folder / "policies"
    folder.mkdir()
    (folder / "night.cedar").write_text(_POLICY)
    (folder / "night.test.yaml").write_text(_CASES)
    return stopped


def test_good_policies_are_said_to_be_good(governed: Installation) -> None:
    result = governed.call("policy", "check")
    assert result.code == 0
    assert "good" in result.out
    assert "1 file" in result.out
    assert governed.call("policy", "check", "--json").json()["files"] == ["night.cedar"]


def test_a_policy_with_a_mistake_is_told_with_its_line(governed: Installation) -> None:
    path = governed.folder / "policies" / "night.cedar"
    path.write_text(_POLICY.replace("time.hour", "time.hours"))
    for command in (("policy", "check"), ("check",), ("policy", "test")):
        result = governed.call(*command)
        assert result.code == 2
        assert f"{path}:4:" in result.err


def test_cases_are_tried_and_failures_named(governed: Installation) -> None:
    result = governed.call("policy", "test")
    assert (result.code, result.out) == (0, "2 of 2 cases passed\n")
    cases = governed.folder / "policies" / "night.test.yaml"
    cases.write_text(_CASES.replace("03:00", "13:00"))
    result = governed.call("policy", "test")
    assert result.code == 1
    assert "night.test.yaml:2" in result.out
    assert "expected deny, got allow" in result.out
    assert "decided in no case: night" in result.out
    document = governed.call("policy", "test", "--json").json()
    assert [case["wrong"] for case in document["cases"]] == ["expected deny, got allow", ""]


def test_a_case_with_a_mistake_is_a_problem(governed: Installation) -> None:
    (governed.folder / "policies" / "night.test.yaml").write_text("cases: [{agent: triag}]")
    result = governed.call("policy", "test")
    assert result.code == 2
    assert "did you mean `triage`?" in result.err


def test_a_call_is_explained_without_a_plane_too(governed: Installation) -> None:
    result = governed.call("policy", "explain", "triage", "small")
    assert result.code == 0
    assert "model.call" in result.out
    assert "night.cedar:1" in result.out
    assert "scope:triage:models:small" in result.out
    out = governed.call("policy", "explain", "triage", "mail__send", "{}").out
    assert out.startswith("deny")
    document = governed.call("policy", "explain", "triage", "small", "--json").json()
    assert document["reads"] == ["time.hour"]


def test_nothing_recorded_changes_nothing(governed: Installation) -> None:
    result = governed.call("policy", "test", "--against", "7d")
    assert result.code == 0
    assert "nothing would change" in result.out
    assert governed.call("policy", "test", "--against", "soon").code == 2


def test_starters_are_listed_and_written_with_ones_own_names(governed: Installation) -> None:
    assert "read-only" in governed.call("policy", "init").out
    result = governed.call("policy", "init", "read-only")
    assert (result.code, "--agent" in result.err) == (2, True)
    result = governed.call("policy", "init", "read-only", "--agent", "triage")
    assert result.code == 0
    text = (governed.folder / "policies" / "read-only-triage.cedar").read_text()
    assert 'Agent::"triage"' in text
    assert governed.call("policy", "check").code == 0


def test_without_a_folder_it_is_said_what_to_do(stopped: Installation) -> None:
    result = stopped.call("policy", "check")
    assert result.code == 2
    assert "policies: policies/" in result.err
    assert stopped.call("policy", "check", "--organisation", "ghost").code == 2


def test_the_schema_is_printed_for_editors(governed: Installation) -> None:
    found = governed.call("policy", "schema").json()
    assert "Agent" in found[""]["entityTypes"]
    assert "tool.call" in found[""]["actions"]
    unknown = governed.call("policy", "schema", "crm__refund")
    assert (unknown.code, "tools list" in unknown.err) == (2, True)
