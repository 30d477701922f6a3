import json

from tests.api.event import heading, intent
from tests.api.plane import Plane

from ringfence.api.policy_record import calls_since
from ringfence.decisions.policy.replay import Recorded
from ringfence.domain.action import ActionKind
from ringfence.domain.event import AnyEvent, Decision, Hold, Intent, Refusal
from ringfence.domain.policy import PolicyVerdict
from ringfence.domain.tool import PermissionTier


def tool_call(plane: Plane, action: str, approval: str = "") -> Intent:
    """A call of a tool that was made; put with its arguments into the ledger."""
    made = intent(plane, action)
    made.action_kind = ActionKind.TOOL_CALL.value
    made.resource = "files__read"
    made.operation = "tools/call"
    made.approval = approval
    return made


def _refusal(plane: Plane, action: str, code: str, repeats: int = 0) -> Refusal:
    return Refusal(
        **heading(plane),
        action=action,
        action_kind="tool.call",
        resource="files__delete",
        decision=Decision(verdict="deny", code=code),
        repeats=repeats,
    )


def _hold(plane: Plane, action: str) -> Hold:
    return Hold(
        **heading(plane),
        action=action,
        action_kind="tool.call",
        resource="files__write",
        invocation="inv_1",
        root="inv_1",
        decision=Decision(verdict="ask"),
        approval="apr_1",
        fingerprint="sha256:0",
        expires_us="0",
    )


def _calls(plane: Plane, *events: AnyEvent | tuple[AnyEvent, bytes]) -> tuple[list[Recorded], int]:
    plane.write(*events)
    calls = calls_since(plane.context, plane.acme.id, plane.acme, 0)
    return list(calls.recorded()), calls.unread


def test_a_command_is_read_back_unless_the_operator_chose_it(plane: Plane) -> None:
    words = b'{"path":"/usr/bin/ls","line":"ls /","argv":["ls","/"],"directory":"/project"}'
    events = [intent(plane, action) for action in ("act_1", "act_2")]
    for each in events:
        each.action_kind = ActionKind.SHELL_EXEC.value
        each.resource = "ls"
        each.operation = "exec"
        each.approval = ""
    events[0].decision = Decision(verdict="allow", facts={"chosen_by": "operator"})
    found, unread = _calls(plane, *[(each, words) for each in events])
    assert unread == 0
    [call] = found
    assert (call.action, call.was) == ("act_2", PolicyVerdict.ALLOW)
    asked = call.question
    assert (asked.action, asked.resource, asked.tier, asked.arguments) == (
        ActionKind.SHELL_EXEC,
        "ls",
        PermissionTier.CONSEQUENTIAL,
        words,
    )


def test_what_policies_decided_is_read_back(plane: Plane) -> None:
    found, unread = _calls(
        plane,
        (tool_call(plane, "act_1"), b'{"path": "/a"}'),
        (_refusal(plane, "act_2", "policy_denied"), b"{}"),
        (_hold(plane, "act_3"), b'{"path": "/b"}'),
        (tool_call(plane, "act_4", approval="apr_1"), b'{"path": "/b"}'),
        (_refusal(plane, "act_5", "budget_exhausted"), b"{}"),
        _refusal(plane, "act_6", "policy_denied", repeats=3),
    )
    assert unread == 0
    assert [(each.action, each.was) for each in found] == [
        ("act_1", PolicyVerdict.ALLOW),
        ("act_2", PolicyVerdict.DENY),
        ("act_3", PolicyVerdict.ASK),
    ]
    asked = found[0].question
    assert (asked.agent, asked.resource, asked.arguments) == (
        "triage",
        "files__read",
        b'{"path": "/a"}',
    )
    assert asked.chain == ("triage",)
    assert (asked.user, asked.tier) == (None, PermissionTier.CONSEQUENTIAL)


def test_for_whom_an_agent_acted_is_told_by_name(plane: Plane) -> None:
    made = tool_call(plane, "act_1")
    made.chain = [plane.acme.users["viewer"].id, *made.chain]
    (found,), _ = _calls(plane, (made, b"{}"))
    assert found.question.user == "viewer"
    assert found.question.chain == ("viewer", "triage")


def test_a_call_without_its_arguments_is_left_out_and_counted(plane: Plane) -> None:
    assert _calls(plane, tool_call(plane, "act_1")) == ([], 1)


def test_of_a_model_call_the_event_says_enough(plane: Plane) -> None:
    made = intent(plane, "act_1")
    made.tools = ["b", "a"]
    made.stream = True
    (found,), _ = _calls(plane, made)
    assert found.question.arguments == (
        b'{"operation":"chat","stream":true,"tools":["a","b"],"hosted_tools":[]}'
    )
    assert found.question.tier is PermissionTier.READ


def test_what_was_before_the_time_asked_for_is_not_read(plane: Plane) -> None:
    plane.write((tool_call(plane, "act_1"), b"{}"))
    since_us = plane.clock.now_us() + 1
    calls = calls_since(plane.context, plane.acme.id, plane.acme, since_us)
    assert list(calls.recorded()) == []


def test_a_request_through_egress_is_asked_about_as_it_was(plane: Plane) -> None:
    made = intent(plane, "act_1")
    made.action_kind = ActionKind.HTTP_REQUEST.value
    made.resource = "api.example:8443"
    made.operation = "GET"
    made.target = "https://api.example:8443/a%20b?c=d"
    tunnel = intent(plane, "act_2")
    tunnel.action_kind = ActionKind.HTTP_REQUEST.value
    tunnel.resource = "[::1]:443"
    tunnel.operation = "TUNNEL"
    tunnel.target = "https://[::1]/"
    found, unread = _calls(plane, (made, b"its body"), (tunnel, b""))
    assert unread == 0
    first, second = (each.question for each in found)
    assert (first.resource, first.tier) == ("api.example", PermissionTier.READ)
    assert json.loads(first.arguments) == {
        "method": "GET",
        "scheme": "https",
        "port": 8443,
        "path": "/a b",
    }
    assert (second.resource, second.tier) == ("::1", PermissionTier.CONSEQUENTIAL)
