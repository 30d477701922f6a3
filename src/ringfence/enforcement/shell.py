"""The processes of one sandbox: which command each of them runs, and what is noticed of them."""

from collections.abc import Iterable
from typing import Final, final

from ringfence.decisions import command
from ringfence.decisions.loop import Repetition
from ringfence.domain.agent import SandboxRules
from ringfence.domain.exchange import ToolUse
from ringfence.domain.verdict import Reason
from ringfence.enforcement.shell_ticket import ExecTicket

NOTICED: Final = 100
"""From so many times on a circle of equal commands with equal ends is put on the record.

Scripts repeat commands at will: this is a finding for people and stops nothing; what stops is
`limits.commands`.
"""
_AGAIN: Final = 10
"""It is told again after so many times as many."""


@final
class KeptWords:
    """How much more of the words of one sandbox's commands is kept whole."""

    def __init__(self, most_bytes: int) -> None:
        """Nothing is kept yet."""
        self._left_bytes = most_bytes
        self._has_cut = False

    def take(self, size: int) -> bool:
        """Whether so much more is kept; what does not fit leaves room for less."""
        if size > self._left_bytes:
            return False
        self._left_bytes -= size
        return True

    def cut(self) -> bool:
        """Something is not kept whole: whether that is the first time."""
        is_first, self._has_cut = not self._has_cut, True
        return is_first


@final
class Shell:
    """What is running in one sandbox; `writable` are the folders where its agent may write."""

    def __init__(
        self, writable: Iterable[str] = (), words_bytes: int = SandboxRules().words_bytes
    ) -> None:
        """Nothing runs yet. `words_bytes` is how much of its words is kept whole."""
        self.writable = tuple(writable)
        self.words = KeptWords(words_bytes)
        self._running: dict[int, ExecTicket] = {}
        self._denied: dict[int, tuple[bytes, Reason]] = {}
        self._operators: int | None = None
        self._repetition = Repetition()
        self._told_at = NOTICED

    def __len__(self) -> int:
        """How many commands run."""
        return len(self._running)

    def is_operators(self, pid: int, exe: str, *, is_command: bool) -> bool:
        """Whether a command is the operator's choice: what the sandbox was started for."""
        if is_command:
            self._operators = pid
        elif pid == self._operators and not command.looks_up(exe):
            self._operators = None
        return pid == self._operators

    def deny(self, pid: int, arguments: bytes, why: Reason) -> None:
        """A person would not have a process do this."""
        self._denied[pid] = (arguments, why)

    def denied(self, pid: int, arguments: bytes) -> Reason | None:
        """Why a person would not have it, if the same process has asked for the same last."""
        said = self._denied.get(pid)
        return None if said is None or said[0] != arguments else said[1]

    def within(self, pid: int, parent: int) -> str:
        """The command whose process begins one; empty if that is not known."""
        above = self._running.get(pid) or self._running.get(parent)
        return "" if above is None else above.action

    def begun(self, ticket: ExecTicket) -> ExecTicket | None:
        """A process runs it from now on; gives what it ran before, which is over."""
        before = self._running.get(ticket.process)
        self._denied.pop(ticket.process, None)
        self._running[ticket.process] = ticket
        return before

    def find(self, pid: int) -> ExecTicket | None:
        """What a process runs."""
        return self._running.get(pid)

    def exited(self, pid: int) -> ExecTicket | None:
        """A process has ended; gives what it ran."""
        if pid == self._operators:
            self._operators = None
        self._denied.pop(pid, None)
        return self._running.pop(pid, None)

    def all(self) -> list[ExecTicket]:
        """Everything that runs."""
        return list(self._running.values())

    def circle(self, ticket: ExecTicket, exit_code: int | None) -> int:
        """How often the same commands have now ended the same way, if it is time to say so; or 0.

        In periods of 1 to 4 commands.
        """
        result = str(exit_code).encode()
        self._repetition.take(
            (ToolUse(ticket.intent.resource, str(ticket.print_).encode(), result),)
        )
        _, times = self._repetition.cycle()
        if times < NOTICED:
            self._told_at = NOTICED
            return 0
        if times < self._told_at:
            return 0
        self._told_at *= _AGAIN
        return times
