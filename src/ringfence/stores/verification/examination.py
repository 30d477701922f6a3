"""Read the events of all logs once: against their hashes, with each other, with their bodies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final

import msgspec

from ringfence.analysis.merkle import Tree, leaf_hash
from ringfence.analysis.span import Span, without
from ringfence.analysis.verification import Comparison, Fault, Finding, Pairing, located
from ringfence.stores.verification.leaf import Head, describe, read_head
from ringfence.stores.verification.report import Report
from ringfence.stores.verification.trust import Evidence, Vouched

_INTENT: Final = "intent"
_OUTCOME: Final = "outcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Leaves as they stand in a log, and what is stated beside them.

    `leaves` is None for a group that cannot be read. Without `index` nothing is stated.
    """

    first: int
    leaves: Sequence[bytes] | None
    count: int
    index: tuple[int, int] | None = None
    """Lowest time in it, highest up to it, in UTC microseconds."""


class Bodies(Protocol):
    """Tells whether a stored body is the one that was committed to; None if none is stored."""

    def fits(self, head: Head) -> bool | None:
        """Of the body of this event."""


@final
class Examination:
    """Examines one log after another; bounded memory however long they are."""

    def __init__(self, report: Report, bodies: Bodies | None) -> None:
        """Tell what is found to a report. Without `bodies` they are not looked at."""
        self._report = report
        self._bodies = bodies
        self._pairing = Pairing()
        self._deleted_logs: dict[str, int] = {}
        """Up to where retention has deleted events of a log."""

    def examine(
        self,
        evidence: Evidence,
        vouched: Vouched,
        groups: Iterator[Group],
        wanted: Sequence[Span] | None = None,
    ) -> None:
        """One log. `wanted` are the places that must be there; else all that were not deleted."""
        log, hashes = evidence.log, evidence.hashes
        if vouched.deleted:
            self._deleted_logs[log] = vouched.deleted[-1].last
        size = vouched.size if vouched.is_exact and hashes is not None else 0

        def expected(place: int, count: int) -> bytes:
            return b"" if hashes is None else hashes.read(place - 1, count)

        comparison = Comparison(log, size, expected)
        whole = _Whole(vouched) if not vouched.is_exact else None
        high_us = 0
        for group in groups:
            if group.leaves is None:
                comparison.skip(group.first, group.count)
                span = Span(group.first, group.first + max(group.count, 1) - 1)
                self._add(Fault.UNREADABLE, log, span, "this group cannot be unpacked")
                continue
            comparison.add(group.first, group.leaves)
            if whole is not None:
                whole.add(group.leaves)
            high_us = self._examine_group(log, group, high_us, size)
        if wanted is None:
            wanted = without([Span(1, size)] if size else [], vouched.deleted)
        found = comparison.findings(
            wanted,
            lambda some: {} if hashes is None else located(hashes.blocks(0, size), some),
            describe,
        )
        for finding in found:
            self._report.add(finding)
        if whole is not None:
            for finding in whole.findings(log):
                self._report.add(finding)
        self._report.events += comparison.count
        self._remark(vouched, comparison)

    def conclude(self, *, is_running: bool, is_partial: bool = False) -> None:
        """Pair what is left over all logs."""
        open_ = self._pairing.open
        if is_running and open_:
            calls = "1 call is" if len(open_) == 1 else f"{len(open_)} calls are"
            self._report.remarks.append(f"{calls} under way without an outcome yet")
        elif not is_partial:
            for (_, action), (log, sequence) in sorted(open_.items(), key=lambda one: one[1]):
                if sequence <= self._deleted_logs.get(log, 0):
                    continue  # its outcome may have been among them
                self._add(
                    Fault.OUTCOME_MISSING, log, Span(sequence, sequence), "", f"intent {action}"
                )
        for (_, action), (log, sequence) in sorted(
            self._pairing.extra.items(), key=lambda one: one[1]
        ):
            if not is_partial and not self._deleted_logs:
                text = "no intent without an outcome goes with it"
                self._add(
                    Fault.OUTCOME_EXTRA, log, Span(sequence, sequence), text, f"outcome {action}"
                )

    def _examine_group(self, log: str, group: Group, high_us: int, signed: int) -> int:
        leaves = group.leaves or ()
        times: list[int] = []
        for place, leaf in enumerate(leaves, group.first):
            try:
                head = read_head(leaf)
                times.append(int(head.time_us))
            except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
                self._add(Fault.UNREADABLE, log, Span(place, place), "this is no event")
                continue
            if head.kind == _INTENT:
                self._pairing.intend((head.organisation, head.action), log, place)
            elif head.kind == _OUTCOME:
                self._pairing.conclude((head.organisation, head.action), log, place)
                if head.status == "unknown":
                    self._report.add_unknown(head.action)
            if place > signed and (head.sequence, head.log) != (place, log):
                text = f"it says that it is event {head.sequence} of log `{head.log}`"
                name = f"{head.kind} {head.about}"
                self._add(Fault.REORDERED, log, Span(place, place), text, name)
            if head.body and self._bodies is not None:
                self._examine_body(log, place, head)
        return self._examine_index(log, group, times, high_us)

    def _examine_index(self, log: str, group: Group, times: list[int], high_us: int) -> int:
        if group.index is None or not times:
            return high_us
        low_us, stated_us = group.index
        span = Span(group.first, group.first + len(times) - 1)
        # What was deleted before may have had the highest time.
        high_us = max(*times, high_us, stated_us if log in self._deleted_logs else 0)
        if (low_us, stated_us) != (min(times), high_us):
            text = "the times stated for this group are not those of its events"
            self._add(Fault.INDEX_ALTERED, log, span, text)
        if group.count != len(times):
            text = f"{group.count} events are stated for this group"
            self._add(Fault.INDEX_ALTERED, log, span, text)
        return high_us

    def _examine_body(self, log: str, place: int, head: Head) -> None:
        fits = self._bodies.fits(head) if self._bodies is not None else None
        if fits is None:
            self._report.bodies_absent += 1
            return
        self._report.bodies += 1
        if not fits:
            text = f"the stored {head.part.name.lower()} is not the one that was committed to"
            name = f"{head.kind} {head.about}"
            self._add(Fault.BODY_ALTERED, log, Span(place, place), text, name)

    def _remark(self, vouched: Vouched, comparison: Comparison) -> None:
        log, report = vouched.log, self._report
        for span in comparison.uncovered if vouched.is_exact else ():
            report.remarks.append(
                f"log `{log}`: events {span.first} to {span.last} came after the newest checkpoint"
                " and are not covered yet"
            )
        for late in vouched.late:
            report.remarks.append(
                f"log `{log}`: events after {late.size} were covered only at the next start"
                f" ({late.time_us} µs)"
            )
        for span in vouched.deleted:
            report.remarks.append(
                f"log `{log}`: events {span.first} to {span.last} were deleted by retention"
            )

    def _add(self, fault: Fault, log: str, span: Span, text: str, name: str = "") -> None:
        self._report.add(
            Finding(fault=fault, log=log, first=span.first, last=span.last, id=name, text=text)
        )


@final
class _Whole:
    """Where the hashes are of no use: compares the log with its checkpoints, from one to the next.

    Without the hashes of deleted events nothing can be said of what comes after them.
    """

    def __init__(self, vouched: Vouched) -> None:
        self._signed = sorted({(one.size, one.root) for one in vouched.signed})
        self._tree = Tree()
        self._good = 0
        self._bad = 0
        self._deleted = bool(vouched.deleted)

    def add(self, leaves: Sequence[bytes]) -> None:
        for leaf in leaves:
            self._compare()
            self._tree.append(leaf_hash(leaf))

    def _compare(self) -> None:
        while self._signed and self._signed[0][0] <= self._tree.size:
            size, root = self._signed.pop(0)
            if size == self._tree.size and root == self._tree.root():
                self._good = size
            elif not self._bad:
                self._bad = size

    def findings(self, log: str) -> Iterator[Finding]:
        self._compare()
        if self._deleted:
            return
        if self._signed:
            self._bad = self._bad or self._signed[0][0]
            first, last = self._tree.size + 1, self._signed[-1][0]
            yield Finding(fault=Fault.TRUNCATED, log=log, first=first, last=last)
        elif self._bad:
            text = "something in here is not as it was signed"
            yield Finding(
                fault=Fault.ALTERED, log=log, first=self._good + 1, last=self._bad, text=text
            )
