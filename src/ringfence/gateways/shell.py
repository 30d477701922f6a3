"""The door of commands: what the monitor of a sandbox asks and tells, on the path and back.

An exec waits in the kernel until it is answered, so nothing here makes a task for one that nobody
has to be asked about: what arrives in one turn of the loop shares one commit of the ledger.
"""

import asyncio
import logging
import shlex
from functools import partial
from typing import Final, final

import msgspec

from ringfence.decisions import command
from ringfence.domain.event import AGENT, Status
from ringfence.domain.monitoring import (
    CallRefused,
    Changed,
    Evidence,
    ExecAnswer,
    ExecAsked,
    ExecDiffers,
    ExecWaits,
    Exited,
    Kill,
    LateCodeFound,
)
from ringfence.domain.observation import Seen
from ringfence.domain.verdict import Deny
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.authority import LAPSED, Authority
from ringfence.enforcement.command_words import arguments_of
from ringfence.enforcement.finding import FindingLog
from ringfence.enforcement.held_call import HeldCalls, Unanswered
from ringfence.enforcement.holding import Holdable
from ringfence.enforcement.lack import Lacking
from ringfence.enforcement.observation import Observations, Sighting
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.sandbox import Listeners, LiveSandbox
from ringfence.enforcement.shell_call import ExecKnock, ShellPath
from ringfence.enforcement.shell_ticket import ExecTicket
from ringfence.enforcement.tool_secret import SecretScans
from ringfence.stores.ledger.durable import when_ended
from ringfence.transport.link import Later

_LOG = logging.getLogger(__name__)
_CLIENT: Final = "sandbox"
_SHOWN: Final = 4_000
"""Characters of a command line that a finding shows."""
_FAILED: Final = "Ringfence failed unexpectedly and refused this command."
_OVER: Final = "Ringfence: this sandbox is over."
_SENT: Final = frozenset({"tcp", "udp"})
_EVIDENCE: Final = {"transcript": Seen.TRANSCRIPT, "builtins": Seen.BUILTINS}


@final
class ShellDoor:
    """Decides and records the commands of sandboxes; one for each worker."""

    def __init__(  # noqa: PLR0913, PLR0917 (the parts that it joins)
        self,
        path: ShellPath,
        observations: Observations,
        findings: FindingLog,
        secrets: SecretScans,
        approvals: Approvals | None,
        authority: Authority,
    ) -> None:
        """No sandbox is known yet: `enforcement.sandbox_record` tells the path of each."""
        self._authority = authority
        self._path = path
        self._observations = observations
        self._findings = findings
        self._secrets = secrets
        self._held: HeldCalls[ExecKnock, ExecTicket] = HeldCalls(path, approvals)
        self._tasks: dict[str, set[asyncio.Task[None]]] = {}

    def asked(self, box: LiveSandbox, asked: ExecAsked) -> Later[ExecAnswer]:
        """Decide about an exec; the answer comes when the intent is durable, or at once."""
        answer = Later[ExecAnswer]()
        call = _Call(box=box, knock=_knock(box, asked), id=asked.id, answer=answer)
        if self._authority.is_fresh:
            self._begin(call)
        else:
            self._authority.when_fresh(partial(self._renewed, call))
        return answer

    def exited(self, box: LiveSandbox, exited: Exited) -> None:
        """A process of a sandbox has ended."""
        self._path.exited(box.id, exited.pid, exited.exit_code)

    def differs(self, box: LiveSandbox, differs: ExecDiffers) -> None:
        """A process runs something else than what was decided on.

        What was exchanged is on the record whatever it is; a program that the agent may not run
        ends.
        """
        shell = self._path.shell(box.id)
        ticket = None if shell is None else shell.find(differs.pid)
        if shell is None or ticket is None:
            return
        names = command.names_of(differs.exe, shell.writable)
        name = command.in_scope(ticket.caller.runtime.agent, names, ticket.live.commands)
        is_ended = not isinstance(name, str) and not command.looks_up(differs.exe)
        detail = {
            "action": ticket.action,
            "command": ticket.intent.resource,
            "runs": differs.exe[:_SHOWN],
            "line": shlex.join(differs.argv)[:_SHOWN],
            "ended": "true" if is_ended else "false",
        }
        self._findings.found(ticket.live, "command_exchanged", detail)
        if is_ended and box.monitor is not None:
            box.monitor.tell(Kill(pid=differs.pid))

    def call_refused(self, box: LiveSandbox, refused: CallRefused) -> None:
        """Something was tried that came to nothing: by which command, if that is known."""
        shell = self._path.shell(box.id)
        ticket = None if shell is None else shell.find(refused.pid)
        by = {} if ticket is None else {"command": ticket.intent.resource, "action": ticket.action}
        if refused.call in _SENT:
            why = refused.error or "nothing of Ringfence is at that port"
            detail = {"how": refused.call, "verdict": "deny", "why": why}
            sighting = Sighting(what=Seen.CONNECTION, subject=refused.to, detail=detail | by)
        else:
            detail = {"with": refused.to, "error": refused.error}
            given = {name: value for name, value in detail.items() if value}
            sighting = Sighting(what=Seen.CALL_REFUSED, subject=refused.call, detail=given | by)
        times = max(1, refused.times)
        self._observations.see(box.caller, box.sandbox, sighting, times=times)

    def evidence(self, box: LiveSandbox, evidence: Evidence) -> None:
        """Something that proves nothing by itself; what shells say of themselves least of all."""
        what = _EVIDENCE.get(evidence.kind)
        if what is None or not evidence.body:
            return
        said = AGENT if what is Seen.BUILTINS else ""
        body, redactions = self._secrets.redacted(evidence.body)
        detail = {"from_us": str(evidence.time_us), "bytes": str(len(evidence.body))}
        detail |= {f"redacted.{name}": str(count) for name, count in redactions.items()}
        sighting = Sighting(what=what, subject=evidence.kind, detail=detail, reported_by=said)
        self._observations.see(box.caller, box.sandbox, sighting, body)

    def changed(self, box: LiveSandbox, changed: Changed) -> None:
        """What became of the workspace, or of another folder that it may change."""
        box.is_seen = True
        detail = _counts(changed.summary)
        folder = changed.folder or box.sandbox.workspace
        sighting = Sighting(what=Seen.WORKSPACE, subject=folder, detail=detail)
        self._observations.see(box.caller, box.sandbox, sighting, changed.summary)

    def late_code(self, box: LiveSandbox, found: LateCodeFound) -> None:
        """A file would have run later on the host: it is set aside, and somebody must look."""
        detail = {
            "path": found.path[:_SHOWN],
            "why": found.why[:_SHOWN],
            "moved_to": found.moved_to[:_SHOWN],
            "is_restored": "true" if found.is_restored else "false",
        } | ({"more": str(found.more)} if found.more else {})
        detail |= {"is_removed": "true"} if found.is_removed else {}
        self._findings.found(box.live, "late_code", detail)

    # As a door of sandboxes

    async def serve(self, sandbox: LiveSandbox, listeners: Listeners) -> None:
        """Nothing to accept: commands come by the monitor."""

    async def stop(self, sandbox: LiveSandbox) -> None:
        """Nobody waits for a person any more."""
        for task in self._tasks.pop(sandbox.id, set()):
            task.cancel()

    # Within

    def _begin(self, call: "_Call") -> None:
        if call.is_gone():
            call.refuse(_OVER)
            return
        begun = self._path.begin(call.knock)
        if isinstance(begun, ExecTicket):
            self._await_durable(call, begun)
        elif isinstance(begun, RefusedAction):
            call.refuse(begun.verdict.reason.message)
        else:
            self._later(call, begun)

    def _renewed(self, call: "_Call", is_fresh: bool) -> None:  # noqa: FBT001 (what a renewal says)
        """Go on with authority; without it, what a person took back may not be known here."""
        if is_fresh:
            self._begin(call)
        elif call.is_gone():
            call.refuse(_OVER)
        else:
            self._path.turn_away(call.knock, Deny(reason=LAPSED), call.box.live)
            call.refuse(LAPSED.message)

    def _await_durable(self, call: "_Call", ticket: ExecTicket) -> None:
        when_ended(ticket.durable, partial(self._answer, call, ticket))

    def _answer(self, call: "_Call", ticket: ExecTicket) -> None:
        """INVARIANT (I1): an exec goes on only when its intent is durable."""
        try:
            refused = self._path.written(ticket)
        except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected denies)
            _LOG.exception("the record of a command failed; the command is refused")
            call.refuse(_FAILED)
            return
        if refused is not None:
            call.refuse(refused.verdict.reason.message)
            return
        if call.is_gone() or call.answer.is_over:
            ticket.undo(Status.CUT, "sandbox_ended")
            call.refuse(_OVER)
            return
        if not self._authority.is_fresh:
            self._authority.when_fresh(partial(self._renewed_late, call, ticket))
            return
        self._path.began(ticket)
        call.answer.give(ExecAnswer(id=call.id, is_allowed=True))

    def _renewed_late(
        self,
        call: "_Call",
        ticket: ExecTicket,
        is_fresh: bool,  # noqa: FBT001 (what a renewal says)
    ) -> None:
        """Authority ended while the intent was written: it has no effect without it."""
        if is_fresh and self._authority.is_fresh and not call.is_gone():
            self._path.began(ticket)
            call.answer.give(ExecAnswer(id=call.id, is_allowed=True))
        else:
            ticket.undo(Status.CUT, LAPSED.code.value)
            call.refuse(_OVER if call.is_gone() else LAPSED.message)

    def _later(self, call: "_Call", begun: Holdable | Lacking) -> None:
        """Go on with what is unusual in a task of its own, which ends with the sandbox."""

        async def run() -> None:
            try:
                await self._go_on(call, begun)
            except asyncio.CancelledError:
                call.refuse(_OVER)
                raise
            except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected denies)
                _LOG.exception("a command could not be decided; it is refused")
                call.refuse(_FAILED)

        task = asyncio.create_task(run())
        running = self._tasks.setdefault(call.box.id, set())
        running.add(task)
        task.add_done_callback(running.discard)

    async def _go_on(self, call: "_Call", begun: Holdable | Lacking) -> None:
        """Fetch what is lacking, ask a person if one must be, and wait for the record."""
        found: ExecTicket | Holdable | RefusedAction | Unanswered
        if isinstance(begun, Lacking):
            found = await self._path.supply(call.knock, begun, call.is_gone)
        else:
            found = begun
        if isinstance(found, Holdable):
            found = await self._ask_person(call, found)
        if isinstance(found, RefusedAction):
            call.refuse(found.verdict.reason.message)
        elif isinstance(found, Unanswered):
            call.refuse("Ringfence: nobody has approved this command in time.")
        else:
            self._await_durable(call, found)

    async def _ask_person(
        self, call: "_Call", held: Holdable
    ) -> ExecTicket | RefusedAction | Unanswered:
        """An exec waits in the kernel for as long as the call is held."""
        approval = await self._path.hold(call.knock, held)
        if isinstance(approval, RefusedAction):
            return approval
        why = "; ".join(held.reasons) or "a policy asks for it"
        waits = ExecWaits(
            id=call.id,
            approval=approval.id,
            message=f"a command waits for a person to approve it: {why}",
            until_us=approval.expires_us,
        )
        if call.box.monitor is not None:
            call.box.monitor.tell(waits)
        left_s = (approval.expires_us - self._findings.clock.now_us()) / 1_000_000
        return await self._held.follow(call.knock, held, approval, left_s, call.is_gone)


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    """One exec, and the answer that its monitor waits for."""

    box: LiveSandbox
    knock: ExecKnock
    id: int
    answer: Later[ExecAnswer]

    def is_gone(self) -> bool:
        """Whether nobody waits for it any more."""
        return not self.box.is_open

    def refuse(self, message: str) -> None:
        """It may not; harmless if that is answered."""
        self.answer.give(ExecAnswer(id=self.id, is_allowed=False, message=message))


def _knock(box: LiveSandbox, asked: ExecAsked) -> ExecKnock:
    path = asked.program or asked.path
    return ExecKnock(
        caller=box.caller,
        client=_CLIENT,
        path=path,
        arguments=arguments_of(path, asked.argv, asked.directory),
        given=asked.path,
        interpreter=asked.interpreter,
        sandbox=box.id,
        process=asked.pid,
        parent=asked.parent,
        exe=asked.exe,
        is_command=asked.is_command,
        is_cut=asked.is_cut,
    )


def _counts(summary: bytes) -> dict[str, str]:
    """How much of the workspace is different, for whoever reads no body."""
    try:
        found = msgspec.json.decode(summary, type=_Counted)
    except msgspec.MsgspecError:
        return {"unreadable": "true"}
    detail = {name: str(getattr(found.counts, name)) for name in ("added", "changed", "removed")}
    detail |= {"is_partial": "true"} if found.is_partial else {}
    detail |= {"elsewhere": str(len(found.elsewhere))} if found.elsewhere else {}
    return detail | ({"trouble": found.trouble[:_SHOWN]} if found.trouble else {})


class _Counts(msgspec.Struct, frozen=True, kw_only=True):
    added: int
    changed: int
    removed: int


class _Counted(msgspec.Struct, frozen=True, kw_only=True):
    """As much of a summary (`sandbox.workspace.summary`) as an event states by itself."""

    counts: _Counts
    is_partial: bool = False
    trouble: str = ""
    elsewhere: list[str] = []
