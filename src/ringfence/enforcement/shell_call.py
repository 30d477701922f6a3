"""The path of one command to a durable intent, and from its process's end to the record.

Commands of a sandbox come here before they begin (`gateways.shell`); those that an agent runs
outside of any come by its word alone (`gateways.action`).
"""

from typing import Final

from ringfence.decisions import command
from ringfence.decisions.policy.refusal import refusal_of
from ringfence.decisions.reservation import Reservation
from ringfence.domain.action import ActionKind
from ringfence.domain.agent import Agent, StoreFailure
from ringfence.domain.approval import Approval
from ringfence.domain.event import AGENT, BY_CALLER, Decision, Intent, Status
from ringfence.domain.money import ZERO
from ringfence.domain.policy import PolicyDecision, PolicyVerdict, Question
from ringfence.domain.tool import PermissionTier
from ringfence.domain.verdict import Code, Deny, Reason, Refused
from ringfence.enforcement.action_path import PathParts
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.command_words import CUT_BYTES, cut
from ringfence.enforcement.holding import (
    HeldKnock,
    Holdable,
    HoldingPath,
    LackingApproval,
    binding_of,
    outdated,
)
from ringfence.enforcement.lack import Lacking
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.policy import Policies, facts_of, question_of
from ringfence.enforcement.refusal import RefusedAction, RequestedAction
from ringfence.enforcement.shell import Shell
from ringfence.enforcement.shell_ticket import ExecEnding, ExecTicket
from ringfence.stores.body import Body

EXEC: Final = "exec"
"""The operation of a command, beside which there is no other."""
_NAME_CHARACTERS: Final = 200
CHOSEN_BY: Final = "chosen_by"
"""The fact of a decision that the operator's own choice took: no policy was asked."""
_OPERATORS: Final = PolicyDecision(verdict=PolicyVerdict.ALLOW)
_TIER: Final = PermissionTier.CONSEQUENTIAL
"""What a program does with the world is not known from its name."""


class ExecKnock(HeldKnock, frozen=True, kw_only=True):
    """One command as it comes to the path.

    `path` is the file itself, every link resolved; `arguments` the JSON object of path, line, argv
    and directory that policies, people and the record see.
    """

    path: str
    arguments: bytes
    given: str = ""
    """The path that led to the file."""
    interpreter: str = ""
    """What the first line of a script names, where the agent may have written it."""
    sandbox: str = ""
    """Empty for a command that passes no door: then the agent itself must obey."""
    process: int = 0
    parent: int = 0
    exe: str = ""
    """What the process runs until now."""
    is_command: bool = False
    """Whether it is what the sandbox was started for: the operator's choice, not the agent's."""
    is_cut: bool = False
    """Whether `arguments` do not hold all of them: no policy can judge them then."""
    call_id: str = ""
    """The model's id of the tool call behind it, if the client tells it."""


class ShellPath(HoldingPath[ExecKnock, ExecTicket]):
    """Decides commands and keeps their books; one for each worker."""

    def __init__(
        self, parts: PathParts, *, policies: Policies, approvals: Approvals | None
    ) -> None:
        """Without `approvals` nobody can be asked, which denies."""
        super().__init__(parts, approvals)
        self._policies = policies
        self._shells: dict[str, Shell] = {}

    # A sandbox's life

    def opened(self, sandbox: str, shell: Shell) -> None:
        """A sandbox begins; commands of one that has not begun are not known to be anybody's."""
        self._shells[sandbox] = shell

    def shell(self, sandbox: str) -> Shell | None:
        """What runs in a sandbox, while it is open."""
        return self._shells.get(sandbox)

    def ended(self, sandbox: str) -> None:
        """A sandbox is over, and with it every process: what still ran was killed."""
        shell = self._shells.pop(sandbox, None)
        for ticket in shell.all() if shell is not None else ():
            ticket.settle(ExecEnding(status=Status.CUT, error="sandbox_ended"))

    def began(self, ticket: ExecTicket) -> None:
        """A command may run now; what its process ran before is over with that."""
        shell = self._shells.get(ticket.sandbox)
        if shell is None:
            ticket.undo(Status.CUT, "sandbox_ended")
            return
        before = shell.begun(ticket)
        if before is not None:
            before.settle(ExecEnding(status=Status.OK, error="replaced"))

    def exited(self, sandbox: str, pid: int, exit_code: int | None) -> None:
        """A process has ended; one that ran nothing by itself is not on the record."""
        shell = self._shells.get(sandbox)
        ticket = None if shell is None else shell.exited(pid)
        if shell is None or ticket is None:
            return
        ticket.settle(ExecEnding(status=Status.OK, exit_code=exit_code))
        times = shell.circle(ticket, exit_code)
        if times:
            detail = {"kind": "commands", "command": ticket.intent.resource, "times": str(times)}
            self.findings.found(ticket.live, "loop", detail)

    # The path

    def decide_in(
        self, knock: ExecKnock, live: LiveInvocation, now_us: int
    ) -> ExecTicket | Holdable | RefusedAction | Lacking:
        """Ask scope, policies and limits about the command, and a person last."""
        judged = self._judge(knock, live, now_us)
        if isinstance(judged, Reason):
            return self.turn_away(knock, Deny(reason=judged), live)
        name, decision = judged
        reserved = self.reserved(knock, live, ZERO, live.counted.commands, now_us)
        if not isinstance(reserved, Reservation):
            return reserved
        try:
            asks = decision.verdict is PolicyVerdict.ASK
            if knock.consumed or not asks:
                return self._ticket(knock, live, name, decision, reserved, now_us)
        except BaseException:
            self._book.release(reserved)
            raise
        self._book.release(reserved)
        return self._ask(knock, live, name, decision)

    def _judge(
        self, knock: ExecKnock, live: LiveInvocation, now_us: int
    ) -> tuple[str, PolicyDecision] | Reason:
        """By which name the command is known, and what the policies say; or why it may not be."""
        shell, names = self._shells.get(knock.sandbox), self._names(knock)
        if shell is not None and shell.is_operators(
            knock.process, knock.exe, is_command=knock.is_command
        ):
            return names[0], _OPERATORS
        agent = knock.caller.runtime.agent
        name = command.in_scope(agent, names, live.commands)
        if not isinstance(name, Reason) and knock.interpreter:
            found = self._interpreter(knock, live, agent)
            name = found if isinstance(found, Reason) else name
        if isinstance(name, Reason):
            return name
        question = question_of(
            live,
            ActionKind.SHELL_EXEC,
            name,
            tier=_TIER,
            now_us=now_us,
            arguments=knock.arguments,
            seen=live.tree.seen,
        )
        decision = self._policies.decide(question)
        asks = decision.verdict is PolicyVerdict.ASK
        if knock.is_cut and (asks or self._reads(question)):
            who = "people can be shown" if asks else "policies can read"
            problem = f"its arguments are longer than {who}"
            decision = PolicyDecision(verdict=PolicyVerdict.DENY, problem=problem)
        if decision.verdict is PolicyVerdict.DENY:
            return refusal_of(agent, question, decision)
        if knock.used is not None:
            refused = outdated(knock, binding_of(*_bound(knock, live, name, decision)))
            if refused is not None:
                return refused.reason
        return name, decision

    def _names(self, knock: ExecKnock) -> tuple[str, ...]:
        shell = self._shells.get(knock.sandbox)
        writable = () if shell is None else shell.writable
        told = not knock.sandbox
        return command.names_of(knock.path, writable, given=knock.given, is_told=told)

    def _interpreter(self, knock: ExecKnock, live: LiveInvocation, agent: Agent) -> str | Reason:
        """A script runs what its first line names, unless that only looks up something else."""
        if command.looks_up(knock.interpreter):
            return knock.interpreter
        shell = self._shells.get(knock.sandbox)
        writable = () if shell is None else shell.writable
        names = command.names_of(knock.interpreter, writable)
        return command.in_scope(agent, names, live.commands)

    def _reads(self, question: Question) -> bool:
        found = self._policies.of(question.organisation)
        slice_ = None if found is None else found.slice_of(question)
        return slice_ is None or slice_.reads_arguments

    def _ask(
        self, knock: ExecKnock, live: LiveInvocation, name: str, decision: PolicyDecision
    ) -> Holdable | LackingApproval:
        binding = binding_of(*_bound(knock, live, name, decision))
        return self.asked(knock, live, binding, decision, tuple(live.tree.doubts.values()))

    def _ticket(  # noqa: PLR0913, PLR0917 (a command has these parts)
        self,
        knock: ExecKnock,
        live: LiveInvocation,
        name: str,
        decision: PolicyDecision,
        reserved: Reservation,
        now_us: int,
    ) -> ExecTicket:
        caller = knock.caller
        intent = self.next_intent(knock, live, reserved, now_us)
        self._state(intent, knock, name, decision)
        kept, is_first_cut = self._kept(knock)
        ticket = ExecTicket(
            caller=caller,
            live=live,
            intent=intent,
            arguments=kept,
            print_=hash(knock.arguments),
            reservation=reserved,
            durable=self._ledger.intend(
                intent,
                Body(kept),
                is_open=caller.runtime.agent.on_store_failure is StoreFailure.OPEN,
            ),
            started_us=self._clock.monotonic_us(),
            settle=self._settle,
        )
        live.is_recorded = True
        live.running.add(ticket)
        if is_first_cut:
            most = str(CUT_BYTES)
            detail = {"sandbox": knock.sandbox, "action": ticket.action, "kept_of_each": most}
            self.findings.found(live, "words_cut", detail)
        return ticket

    def _kept(self, knock: ExecKnock) -> tuple[bytes, bool]:
        """As much of its words as the record keeps; whether it is the first that is cut."""
        shell, size = self._shells.get(knock.sandbox), len(knock.arguments)
        if shell is None or size <= CUT_BYTES or shell.words.take(size):
            most, is_first = None, False
        else:
            most, is_first = CUT_BYTES, shell.words.cut()
        if most is None and not knock.is_cut:
            return knock.arguments, False
        return cut(knock.arguments, most, has_more=knock.is_cut), is_first

    def _state(self, intent: Intent, knock: ExecKnock, name: str, decision: PolicyDecision) -> None:
        intent.action_kind = ActionKind.SHELL_EXEC.value
        intent.resource = name
        intent.operation = EXEC
        intent.body_bytes = len(knock.arguments)
        intent.call_id = knock.call_id[:_NAME_CHARACTERS]
        intent.permission = _TIER.name.lower()
        intent.approval = knock.approval if knock.consumed else ""
        intent.enforced = "" if knock.sandbox else BY_CALLER
        intent.sandbox = knock.sandbox
        intent.process = knock.process
        shell = self._shells.get(knock.sandbox)
        intent.within = "" if shell is None else shell.within(knock.process, knock.parent)
        is_operators = decision is _OPERATORS
        facts = {CHOSEN_BY: "operator"} if is_operators else dict(facts_of(decision))
        intent.decision = Decision(verdict="allow", facts=facts)

    def _settle(self, ticket: ExecTicket, ending: ExecEnding) -> None:
        """Record the outcome; a command costs nothing by itself."""
        now_us = self._clock.now_us()
        outcome = self.closing.form(ticket, now_us)
        outcome.status = ending.status
        outcome.error = ending.error[:_NAME_CHARACTERS]
        if ending.exit_code is not None and ending.exit_code >= 0:
            outcome.exit_code = ending.exit_code
        elif ending.exit_code is not None:
            outcome.signal = command.signal_name(-ending.exit_code)
        if ticket.intent.enforced:
            outcome.reported_by = AGENT
        self.closing.close(ticket, outcome, ZERO, None, ending.result, now_us)

    def requested(self, knock: ExecKnock) -> RequestedAction:
        """What was asked for, as a refusal records it; without its invocation."""
        return RequestedAction(
            kind=ActionKind.SHELL_EXEC,
            resource=self._names(knock)[0][:_NAME_CHARACTERS],
            operation=EXEC,
            client=knock.client,
            body=Body(knock.arguments),
            sandbox=knock.sandbox,
        )

    async def hold(self, knock: ExecKnock, held: Holdable) -> Approval | RefusedAction:
        """Hold it for a person, who is asked once: shells try one name in several folders."""
        shell = self._shells.get(knock.sandbox)
        said = None if shell is None else shell.denied(knock.process, knock.arguments)
        if said is not None:
            return self.turn_away(knock, Deny(reason=said), held.live)
        return await super().hold(knock, held)

    def noticed(self, knock: ExecKnock, live: LiveInvocation, verdict: Refused) -> None:
        """A command was refused: repeats are counted where refusals are."""
        del live
        shell = self._shells.get(knock.sandbox)
        if shell is not None and verdict.reason.code is Code.APPROVAL_DENIED:
            shell.deny(knock.process, knock.arguments, verdict.reason)


def _bound(
    knock: ExecKnock, live: LiveInvocation, name: str, decision: PolicyDecision
) -> tuple[ExecKnock, LiveInvocation, ActionKind, str, bytes, PolicyDecision]:
    return knock, live, ActionKind.SHELL_EXEC, name, knock.arguments, decision
