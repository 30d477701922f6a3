"""Commands on the path: scope, policies, counts, people, the record before and after."""

import asyncio
import json

import pytest
from tests.approvals import desk
from tests.enforcement.cell import GIT, Cell, house

from ringfence.domain.agent import Autonomy, Limits, SandboxRules
from ringfence.domain.approval import Vote
from ringfence.domain.event import Hold, Status
from ringfence.domain.policy import PolicySource
from ringfence.domain.verdict import Code
from ringfence.enforcement.holding import Holdable
from ringfence.enforcement.narrowing import Narrowing
from ringfence.enforcement.shell import NOTICED
from ringfence.enforcement.shell_ticket import ExecTicket
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds


def policies(text: str) -> PolicySource:
    return PolicySource(files={"house.cedar": text}, digest="sha256:1")


def test_a_command_leaves_an_intent_before_it_runs_and_an_outcome_after() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        await cell.go(GIT, "git", "status", "a b", process=41)
        [intent] = cell.ledger.intents
        assert (intent.action_kind, intent.resource, intent.operation) == (
            "shell.exec",
            "git",
            "exec",
        )
        assert (intent.sandbox, intent.process, intent.enforced) == (cell.box.id, 41, "")
        body = json.loads(cell.ledger.bodies[f"Intent {intent.action}"])
        assert body == {
            "path": GIT,
            "line": "git status 'a b'",
            "argv": ["git", "status", "a b"],
            "directory": "/project",
        }
        assert cell.ledger.outcomes == []
        cell.path.exited(cell.box.id, 41, 3)
        [outcome] = cell.ledger.outcomes
        assert (outcome.action, outcome.status) == (intent.action, Status.OK)
        assert (outcome.exit_code, outcome.signal, outcome.cost_nano) == (3, "", "0")
        cell.world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("code", "exit_code", "signal"), [(0, 0, ""), (-9, None, "SIGKILL"), (None, None, "")]
)
def test_an_outcome_says_how_the_process_ended(
    code: int | None, exit_code: int | None, signal: str
) -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        await cell.go(process=41)
        cell.path.exited(cell.box.id, 41, code)
        [outcome] = cell.ledger.outcomes
        assert (outcome.exit_code, outcome.signal) == (exit_code, signal)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("path", "is_allowed"),
    [
        ("/usr/bin/git", True),
        ("/project/run.sh", True),
        ("/usr/bin/curl", False),
        ("/tmp/git", False),  # noqa: S108 (a path that an agent made up)
        ("/home/agent/bin/git", False),
        ("/usr/bin/../../tmp/git", False),
        ("git", False),
        ("/proc/self/exe", False),
        ("/lib64/ld-linux-x86-64.so.2", False),
    ],
)
def test_only_what_is_declared_runs_and_a_name_is_a_program_of_the_system(
    path: str, *, is_allowed: bool
) -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        found = cell.begin(path, "git")
        assert isinstance(found, ExecTicket) is is_allowed
        if not is_allowed:
            assert cell.refused(path, "git").code is Code.OUT_OF_SCOPE
            [refusal] = cell.ledger.refusals
            assert (refusal.action_kind, refusal.sandbox) == ("shell.exec", cell.box.id)

    asyncio.run(story())


def test_a_script_runs_what_its_first_line_names_only_if_that_is_declared_too() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        for interpreter, is_allowed in (
            ("/usr/bin/bash", True),
            ("/usr/bin/env", True),
            ("/usr/bin/curl", False),
            ("/project/evil", True),  # declared as /project/*
            ("/tmp/evil", False),  # noqa: S108 (a path that an agent made up)
        ):
            found = cell.begin("/project/run.sh", interpreter=interpreter)
            assert isinstance(found, ExecTicket) is is_allowed, interpreter

    asyncio.run(story())


def test_a_program_is_known_by_the_name_of_the_systems_link_to_it() -> None:
    async def story() -> None:
        cell = Cell(house("python3"))
        await cell.open()
        ticket = await cell.go("/usr/bin/python3.11", given="/usr/bin/python3")
        assert ticket.intent.resource == "python3"
        assert cell.refused("/usr/bin/python3.11", given="/project/python3").code

    asyncio.run(story())


def test_where_nothing_is_declared_only_the_operators_command_runs() -> None:
    async def story() -> None:
        cell = Cell(house("none-such"))
        await cell.open()
        ticket = await cell.go("/opt/claude", "claude", process=5, is_command=True)
        assert ticket.intent.decision.facts == {"chosen_by": "operator"}
        assert cell.refused(GIT, process=6, parent=5).code is Code.OUT_OF_SCOPE

    asyncio.run(story())


def test_what_env_finds_for_the_operators_command_is_the_operators_too() -> None:
    async def story() -> None:
        cell = Cell(house("git"))
        await cell.open()
        await cell.go("/project/claude.js", "claude", process=5, is_command=True)
        await cell.go("/usr/bin/node", "node", "claude.js", process=5, exe="/usr/bin/env")
        # From here on the process is the agent's.
        assert cell.refused("/usr/bin/env", process=5, exe="/usr/bin/node").code
        assert cell.refused("/usr/bin/node", process=5, exe="/usr/bin/env").code
        [first, second, *_] = cell.ledger.intents
        assert second.within == first.action
        assert cell.ledger.outcomes[0].error == "replaced"

    asyncio.run(story())


def test_a_process_is_told_by_which_command_it_was_begun() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        bash = await cell.go("/usr/bin/bash", "bash", process=10)
        child = await cell.go(GIT, process=11, parent=10)
        assert child.intent.within == bash.action
        assert bash.intent.within == ""

    asyncio.run(story())


def test_an_invocation_may_narrow_what_runs_in_it() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        cell.box.live.commands = (Narrowing(commands=("bash",)).commands or (),)
        assert cell.refused(GIT).code is Code.OUT_OF_SCOPE
        assert isinstance(cell.begin("/usr/bin/bash"), ExecTicket)

    asyncio.run(story())


def test_policies_read_the_command_line() -> None:
    async def story() -> None:
        text = (
            '@reason("nobody forces a push") forbid (principal, action == Action::"shell.exec", '
            'resource == Command::"git") when { context.arguments has argv && '
            'context.arguments.argv.contains("--force") };'
        )
        cell = Cell(house(policies=policies(text)))
        await cell.open()
        assert isinstance(cell.begin(GIT, "git", "push"), ExecTicket)
        why = cell.refused(GIT, "git", "push", "--force")
        assert why.code is Code.POLICY_DENIED
        assert "nobody forces a push" in why.message
        # What was cut cannot be judged, whatever stands in it.
        cut = cell.refused(GIT, "git", "push", is_cut=True)
        assert "longer than policies can read" in cut.message

    asyncio.run(story())


def test_what_a_person_could_not_be_shown_whole_is_asked_of_nobody() -> None:
    """An approval would stand for every other end that the same beginning may have."""

    async def story() -> None:
        text = (
            '@ask("a person looks at it") forbid (principal, action == Action::"shell.exec", '
            'resource == Command::"git");'
        )
        cell = Cell(house(policies=policies(text)))
        await cell.open()
        assert isinstance(cell.path.begin(cell.knock(GIT, "git", "push")), Holdable)
        cut = cell.refused(GIT, "git", "push", is_cut=True)
        assert "longer than people can be shown" in cut.message

    asyncio.run(story())


def test_arguments_that_no_policy_reads_may_be_cut() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        assert isinstance(cell.begin(GIT, "git", is_cut=True), ExecTicket)

    asyncio.run(story())


def test_long_words_are_kept_whole_up_to_a_bound_and_then_cut_and_told_once() -> None:
    async def story() -> None:
        cell = Cell(house(sandbox_rules=SandboxRules(words_bytes=130_000)))
        await cell.open()
        for number in range(3):  # as JSON each is twice as long: as a line, and in words
            await cell.go(GIT, "git", f"{number}" + "x" * 60_000, process=number)
        await cell.go(GIT, "git", "status", process=9)
        intents = cell.ledger.intents
        kept = [cell.ledger.bodies[f"Intent {each.action}"] for each in intents]
        assert [each.body_bytes > 120_000 for each in intents] == [True, True, True, False]
        assert [len(each) < 5_000 for each in kept] == [False, True, True, True]
        assert ["cut" in json.loads(each) for each in kept] == [False, True, True, False]
        assert json.loads(kept[2])["cut"]["bytes"] == 60_006
        [found] = cell.findings("words_cut")
        assert found["action"] == intents[1].action

    asyncio.run(story())


def test_words_that_nobody_read_to_their_end_are_marked_so_on_the_record() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        assert isinstance(cell.begin(GIT, "git", "log", is_cut=True), ExecTicket)
        [intent] = cell.ledger.intents
        kept = json.loads(cell.ledger.bodies[f"Intent {intent.action}"])
        assert (kept["argv"], kept["cut"]["more"]) == (["git", "log"], True)
        assert cell.findings("words_cut") == []

    asyncio.run(story())


def test_commands_that_differ_only_in_what_is_not_kept_are_no_circle() -> None:
    async def story() -> None:
        cell = Cell(house(sandbox_rules=SandboxRules(words_bytes=0)))
        await cell.open()
        for number in range(NOTICED + 5):
            await cell.go(GIT, "git", "x" * 2_000 + str(number % 6), process=number + 1)
            cell.path.exited(cell.box.id, number + 1, 0)
        assert cell.findings("loop") == []

    asyncio.run(story())


def test_commands_are_counted_over_the_whole_run() -> None:
    async def story() -> None:
        cell = Cell(house(limits=Limits(commands=2)))
        await cell.open()
        await cell.go(process=1)
        await cell.go(process=2)
        why = cell.refused(process=3)
        assert why.code is Code.LIMIT_REACHED
        assert "run 2 commands per invocation" in why.message
        await cell.close()
        cell.world.check_books()

    asyncio.run(story())


def test_what_could_not_be_recorded_does_not_run() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        cell.ledger.is_failing = True
        ticket = cell.begin()
        assert isinstance(ticket, ExecTicket)
        await asyncio.wait({ticket.durable})
        refused = cell.path.written(ticket)
        assert refused is not None
        assert refused.verdict.reason.code is Code.STORE_UNAVAILABLE
        cell.world.check_books()

    asyncio.run(story())


def test_a_person_is_asked_and_the_approval_is_for_exactly_that_command() -> None:
    async def story() -> None:
        clock = ManualClock()
        people = desk(clock, SequentialIds())
        cell = Cell(house(autonomy=Autonomy.ASK_ALWAYS), approvals=people, clock=clock)
        await cell.open()
        held = cell.path.begin(cell.knock(GIT, "git", "push"))
        assert isinstance(held, Holdable)
        approval = await cell.path.hold(cell.knock(GIT, "git", "push"), held)
        [hold] = [each for each in cell.ledger.events if isinstance(each, Hold)]
        assert (hold.resource, hold.action_kind, hold.sandbox) == (
            "git",
            "shell.exec",
            cell.box.id,
        )
        id_ = getattr(approval, "id", "")
        await people.decide("org_acme", id_, Vote(user="user:ann", approves=True, at_us=0))
        other = await cell.path.begun(cell.knock(GIT, "git", "push", "-f", approval=id_))
        assert not isinstance(other, ExecTicket)
        ticket = await cell.path.begun(cell.knock(GIT, "git", "push", approval=id_))
        assert isinstance(ticket, ExecTicket)
        assert ticket.intent.approval == id_

    asyncio.run(story())


def test_an_agent_that_may_only_look_runs_nothing() -> None:
    async def story() -> None:
        cell = Cell(house(autonomy=Autonomy.OBSERVE))
        await cell.open()
        assert cell.refused(GIT).code is Code.POLICY_DENIED

    asyncio.run(story())


def test_a_suspended_agent_runs_nothing_more() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        await cell.world.suspend()
        assert cell.refused(GIT).code is Code.AGENT_SUSPENDED

    asyncio.run(story())


def test_the_end_of_a_sandbox_ends_what_ran_in_it() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        ticket = await cell.go(process=3)
        cell.path.ended(cell.box.id)
        [outcome] = cell.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.CUT, "sandbox_ended")
        cell.path.exited(cell.box.id, 3, 0)
        late = cell.begin(process=4)
        assert isinstance(late, ExecTicket)
        cell.path.began(late)
        assert not late.is_open
        assert not ticket.is_open
        cell.world.check_books()

    asyncio.run(story())


def test_a_circle_of_commands_is_told_and_stops_nothing() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        for number in range(250):
            await cell.go(GIT, "git", "fetch", process=number + 10)
            cell.path.exited(cell.box.id, number + 10, 1)
        [found] = cell.findings("loop")
        assert (found["kind"], found["command"], found["times"]) == ("commands", "git", "100")

    asyncio.run(story())
