import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.protocols import claude_hook
from ringfence.protocols.claude_hook import Hooked, HookEvent

BEFORE = {
    "session_id": "s",
    "cwd": "/project",
    "hook_event_name": "PreToolUse",
    "tool_name": "Bash",
    "tool_use_id": "toolu_1",
    "tool_input": {"command": "ls", "timeout": 5.0},
}
"""As Claude Code 2.1.329 says it, without what does not matter here."""


def body(**more: object) -> bytes:
    return msgspec.json.encode(BEFORE | more)


def test_what_is_to_be_done_is_read_with_its_arguments_as_they_came() -> None:
    hooked = claude_hook.read(body())
    assert hooked == Hooked(
        event=HookEvent.BEFORE,
        tool="Bash",
        call_id="toolu_1",
        arguments=msgspec.Raw(b'{"command":"ls","timeout":5.0}'),
    )


def test_what_came_of_it_is_read_too() -> None:
    after = claude_hook.read(body(hook_event_name="PostToolUse", tool_response={"stdout": "a"}))
    assert after is not None
    assert (after.event, bytes(after.result)) == (HookEvent.AFTER, b'{"stdout":"a"}')
    failed = claude_hook.read(body(hook_event_name="PostToolUseFailure", error="no such file"))
    assert failed is not None
    assert (failed.event, failed.error) == (HookEvent.FAILED, "no such file")


@pytest.mark.parametrize(
    "more", [{"hook_event_name": "Stop"}, {"tool_name": "mcp__crm__find"}, {"hook_event_name": "X"}]
)
def test_other_moments_and_tools_of_servers_have_no_say_here(more: dict[str, object]) -> None:
    assert claude_hook.read(body(**more)) is None


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[]",
        b"{}",
        b'{"hook_event_name": 1}',
        body(tool_name=""),
        body(tool_name="x" * 151),
        body()[:-1] + b', "tool_name": "Read"}',
        b'{"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {"a": 1, "a": 2}}',
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(said: bytes) -> None:
    with pytest.raises(PeerError):
        claude_hook.read(said)


def test_an_allowance_says_with_which_arguments() -> None:
    said = msgspec.json.decode(claude_hook.allow(b'{"command":"ls"}'))["hookSpecificOutput"]
    assert said["hookEventName"] == "PreToolUse"
    assert said["permissionDecision"] == "allow"
    assert said["updatedInput"] == {"command": "ls"}


@given(st.text())
def test_a_denial_says_why_whatever_is_in_it(why: str) -> None:
    said = msgspec.json.decode(claude_hook.deny(why))["hookSpecificOutput"]
    assert said["permissionDecision"] == "deny"
    assert said["permissionDecisionReason"] == why
