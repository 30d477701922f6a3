from collections.abc import Callable
from pathlib import Path

import pytest

from ringfence.config.definition.policy import digest_of, judge_policies
from ringfence.config.loading import Loaded
from ringfence.config.problem import Problems
from ringfence.domain.policy import ToolFacts

MISSING = "3:11: no policies folder `policies/` | make it, or remove the key"
TEXT = """\
format: 1
organisation: acme
policies: policies/
users: {ann@acme.example: {}}
tools:
  crm: {url: "http://127.0.0.1:9/mcp"}
agents:
  triage: {owner: ann@acme.example, purpose: Sort., tools: [crm__*]}
"""
GOOD = 'forbid (principal == Agent::"triage", action, resource);\n'


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], None]:
    def write_it(name: str, text: str) -> None:
        file = tmp_path / "policies" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    return write_it


def test_a_folder_that_is_missing_is_refused(problems_of: Callable[..., list[str]]) -> None:
    assert problems_of(TEXT) == [MISSING]


def test_a_file_is_no_folder(tmp_path: Path, problems_of: Callable[..., list[str]]) -> None:
    (tmp_path / "policies").touch()
    assert problems_of(TEXT) == [MISSING]


def test_every_file_in_every_folder_is_read(
    write: Callable[[str, str], None], load_text: Callable[..., Loaded]
) -> None:
    write("a.cedar", GOOD)
    write("deep/er/b.cedar", GOOD)
    write("a.test.yaml", "not for us")
    source = load_text(TEXT).configuration.organisations["acme"].policies
    assert source is not None
    assert list(source.files) == ["a.cedar", "deep/er/b.cedar"]
    assert source.folder == "policies/"
    assert source.digest == digest_of(source.files)


def test_an_empty_folder_changes_nothing(
    tmp_path: Path, load_text: Callable[..., Loaded], notes_of: Callable[..., list[str]]
) -> None:
    (tmp_path / "policies").mkdir()
    source = load_text(TEXT).configuration.organisations["acme"].policies
    assert source is not None
    assert source.files == {}
    assert not [note for note in notes_of(TEXT) if "policies" in note]


def test_what_a_policy_says_is_part_of_the_configurations_digest(
    write: Callable[[str, str], None], load_text: Callable[..., Loaded]
) -> None:
    write("a.cedar", GOOD)
    first = load_text(TEXT).configuration.digest
    assert load_text(TEXT).configuration.digest == first
    write("a.cedar", GOOD.replace("forbid", "permit"))
    assert load_text(TEXT).configuration.digest != first


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\n\nforbid (principal action, resource);", "3:1: unexpected token `action`"),
        (
            'forbid (principal,\n  action == Action::"tool.cal", resource);',
            '2:1: unrecognized action `Action::"tool.cal"`',
        ),
        (
            'forbid (principal == Agent::"triag", action, resource);',
            "1:1: unknown agent `triag` | did you mean `triage`?",
        ),
        (
            '@id("a") forbid (principal, action, resource);\n' * 2,
            "2:1: a second policy is called `a` | the first stands in a.cedar:1",
        ),
    ],
)
def test_a_policy_with_a_mistake_stops_the_load_and_says_where(
    text: str,
    problem: str,
    write: Callable[[str, str], None],
    problems_of: Callable[..., list[str]],
) -> None:
    write("a.cedar", text)
    assert problems_of(TEXT) == [problem]


def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, write: Callable[[str, str], None], problems_of: Callable[..., list[str]]
) -> None:
    write("UPPER.CEDAR", GOOD)
    (tmp_path / "policies" / "bytes.cedar").write_bytes(b"\n\xff")
    (tmp_path / "policies" / "large.cedar").write_bytes(b" " * (1024 * 1024 + 1))
    (tmp_path / "policies" / "folder.cedar").mkdir()
    assert problems_of(TEXT) == [
        "would not be read | name it UPPER.cedar",
        "2:1: is not UTF-8 | save the file as UTF-8",
        "cannot be read | is a directory",
        "is too large | at most 1 MiB",
    ]


def test_with_tools_known_their_arguments_are_checked_too(
    tmp_path: Path, write: Callable[[str, str], None], load_text: Callable[..., Loaded]
) -> None:
    write(
        "a.cedar",
        'forbid (principal, action == Action::"tool.call", resource == Tool::"crm__refund")\n'
        "when { context.arguments has amnt && context.arguments.amnt > 100 };",
    )
    organisation = load_text(TEXT).configuration.organisations["acme"]
    assert judge_policies(organisation, tmp_path / "policies", Problems()) == ("a.cedar#1",)
    problems = Problems()
    schema = b'{"properties": {"amount": {"type": "integer"}}}'
    tools = {"crm__refund": ToolFacts(input_schema=schema)}
    assert judge_policies(organisation, tmp_path / "policies", problems, tools) == ()
    (found,) = problems.found()
    assert found.place.line == 2
    assert "`amnt`" in found.what
    assert found.place.file == str(tmp_path / "policies" / "a.cedar")
