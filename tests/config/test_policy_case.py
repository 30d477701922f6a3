from pathlib import Path

import pytest
from tests.decisions.policy.asking import organisation

from ringfence.config.policy_case import as_json, read_cases
from ringfence.config.problem import ConfigurationError, Problems
from ringfence.config.tree import parse
from ringfence.decisions.policy.case import Case
from ringfence.domain.action import ActionKind
from ringfence.domain.caller import CallerTier
from ringfence.domain.policy import PolicyVerdict
from ringfence.domain.tool import PermissionTier, ToolServer

_ACME = organisation(
    tools={"crm": ToolServer(name="crm", tiers=(("get_*", PermissionTier.READ),))},
    timezone="Europe/Berlin",
)


def _read(folder: Path, text: str, name: str = "a.test.yaml") -> list[Case]:
    path = folder / "policies" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    problems = Problems()
    cases = read_cases(_ACME, folder / "policies", problems)
    problems.check()
    return cases


def _problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        _read(folder, text)
    return [f"{each.place.line}: {each.what}" for each in caught.value.problems]


def test_a_case_states_every_fact(tmp_path: Path) -> None:
    (case,) = _read(
        tmp_path,
        """\
tools:
  crm__refund: {schema: {type: object, properties: {amount: {type: number}}}, labels: [money]}
cases:
  - name: all of it
    agent: triage
    tool: crm__refund
    arguments: {amount: 99.990, to: "7", tags: [a, true, null], note: }
    tier: irreversible
    caller: background
    user: ann@acme.example
    seen: [untrusted]
    at: 2026-01-11 12:00
    expect: ask
    by: [large]
""",
    )
    asked = case.question
    assert (case.name, case.line, case.expected) == ("all of it", 4, PolicyVerdict.ASK)
    assert case.by == ("large",)
    assert case.tool is not None
    assert case.tool.labels == {"money"}
    assert b'"amount": {"type": "number"}' in case.tool.input_schema
    assert asked.arguments == (
        b'{"amount": 99.990, "to": "7", "tags": ["a", true, null], "note": null}'
    )
    assert (asked.tier, asked.caller_tier) == (PermissionTier.IRREVERSIBLE, CallerTier.BACKGROUND)
    assert asked.chain == ("ann@acme.example", "triage")
    assert asked.user == "ann@acme.example"
    assert asked.seen == {"untrusted"}
    assert asked.now_us == 1_768_129_200_000_000  # 11:00 UTC


@pytest.mark.parametrize(
    ("thing", "kind", "tier"),
    [
        ("tool: crm__get_order", ActionKind.TOOL_CALL, PermissionTier.READ),
        ("tool: crm__refund", ActionKind.TOOL_CALL, PermissionTier.CONSEQUENTIAL),
        ("tool: crm__resources/read", ActionKind.TOOL_CALL, PermissionTier.READ),
        ("tool: ringfence__ask_user", ActionKind.TOOL_CALL, PermissionTier.READ),
        ("model: small", ActionKind.MODEL_CALL, PermissionTier.READ),
        ("host: a.example", ActionKind.HTTP_REQUEST, PermissionTier.CONSEQUENTIAL),
        ("command: git", ActionKind.SHELL_EXEC, PermissionTier.CONSEQUENTIAL),
        ("call_agent: triage", ActionKind.AGENT_CALL, PermissionTier.CONSEQUENTIAL),
    ],
)
def test_what_a_case_does_not_say_is_as_configured(
    thing: str, kind: ActionKind, tier: PermissionTier, tmp_path: Path
) -> None:
    (case,) = _read(tmp_path, f"cases: [{{agent: triage, {thing}, expect: allow}}]")
    assert (case.question.action, case.question.tier) == (kind, tier)
    assert case.name == f"triage {thing.rsplit(maxsplit=1)[-1]}"


def test_arguments_may_be_text_that_is_taken_as_it_stands(tmp_path: Path) -> None:
    text = 'cases: [{agent: triage, tool: crm__x, arguments: \'{"a": 1, "a": 2}\', expect: deny}]'
    (case,) = _read(tmp_path, text)
    assert case.question.arguments == b'{"a": 1, "a": 2}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cases: [{tool: crm__x, expect: allow}]", "1: a case has no `agent`"),
        ("cases: [{agent: triage, expect: allow}]", "1: a case is about exactly one thing"),
        ("cases: [{agent: triage, tool: a__b, host: c, expect: deny}]", "1: a case is about"),
        ("cases: [{agent: triage, tool: crm__x}]", "1: a case has no `expect`"),
        ("cases: [{agent: triag, tool: crm__x, expect: deny}]", "1: unknown agent `triag`"),
        ("cases: [{agent: triage, tool: a__b, expect: maybe}]", "1: unknown expect `maybe`"),
        ("cases: [{agent: triage, tool: a__b, expect: deny, teir: x}]", "1: unknown key `teir`"),
        ("cases: [{agent: triage, tool: a__b, expect: deny, tier: x}]", "1: unknown tier `x`"),
        ("cases: [{agent: triage, tool: a__b, expect: deny, at: noon}]", "1: `noon` is no moment"),
        ("cases: {}", "1: `cases` must be a list"),
        ("{}", "1: the file has no `cases`"),
    ],
)
def test_a_case_with_a_mistake_is_told(text: str, said: str, tmp_path: Path) -> None:
    assert _problems(tmp_path, text)[0].startswith(said)


def test_files_in_folders_are_read_in_order(tmp_path: Path) -> None:
    text = "cases: [{agent: triage, tool: crm__x, expect: allow}]"
    _read(tmp_path, text, "deep/b.test.yaml")
    assert [case.file for case in _read(tmp_path, text)] == ["a.test.yaml", "b.test.yaml"]
    (tmp_path / "policies" / "c.test.yaml").write_bytes(b"\xff")
    assert _problems(tmp_path, text) == ["0: cannot be read"]


def test_numbers_stand_in_json_as_they_are_written() -> None:
    node = parse("[1.10, 1e5, 007, .5, -0, 0x10, 1_000, ~, no, 'true']", "a.yaml", Problems())
    assert node is not None
    assert as_json(node) == '[1.10, 1e5, "007", ".5", -0, "0x10", "1_000", null, "no", "true"]'
