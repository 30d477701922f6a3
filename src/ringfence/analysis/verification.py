"""Compare a log with the hashes that were signed for it, and say exactly what is wrong.

The hashes stand in order of sequence and are known to be the signed ones. A leaf that has not the
hash of its place is looked for at the others: it was moved, repeated, altered or put in.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, final

from ringfence.analysis.merkle import leaf_hash
from ringfence.analysis.merkle.tree import HASH_BYTES
from ringfence.analysis.span import Span, common, holds, merged, without

_MOST_SUSPECTS: Final = 10_000
"""Leaves of one log that are looked into one by one; of more, only the places are named."""


class Fault(StrEnum):
    """What can be wrong. Any of these means that the record does not hold."""

    ALTERED = "altered"
    MISSING = "missing"
    TRUNCATED = "truncated"
    REORDERED = "reordered"
    DUPLICATED = "duplicated"
    ADDED = "added"
    UNREADABLE = "unreadable"
    INDEX_ALTERED = "index_altered"
    LOG_DELETED = "log_deleted"
    LOG_UNLISTED = "log_unlisted"
    CHECKPOINT_ALTERED = "checkpoint_altered"
    CHECKPOINT_REMOVED = "checkpoint_removed"
    DIRECTORY_ALTERED = "directory_altered"
    KEYS_ALTERED = "keys_altered"
    HASHES_ALTERED = "hashes_altered"
    DELETIONS_ALTERED = "deletions_altered"
    ROLLED_BACK = "rolled_back"
    REWRITTEN = "rewritten"
    UNWITNESSED = "unwitnessed"
    BODY_ALTERED = "body_altered"
    ACCOUNT_ALTERED = "account_altered"
    RUN_ALTERED = "run_altered"
    OUTCOME_MISSING = "outcome_missing"
    OUTCOME_EXTRA = "outcome_extra"
    EXPORT_ALTERED = "export_altered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong: in which log, from which sequence to which, about what id."""

    fault: Fault
    log: str = ""
    first: int = 0
    last: int = 0
    id: str = ""
    text: str = ""


class Suspect(NamedTuple):
    """A leaf that has not the hash of its place."""

    place: int
    hash: bytes
    leaf: bytes


Describe = Callable[[bytes], tuple[str, int]]
"""The id a leaf is about, and the sequence it states; empty and 0 if it cannot be read."""

Locate = Callable[[set[bytes]], dict[bytes, list[int]]]
"""At which places these hashes are the signed ones."""


@final
class Comparison:
    """One log against its signed hashes; give it every leaf, then ask for what was found.

    `expected` gives the joined hashes of so many places from a place (from 1) on, fewer at the end.
    """

    def __init__(self, log: str, size: int, expected: Callable[[int, int], bytes]) -> None:
        """`size` is how many places were signed."""
        self.uncovered: list[Span] = []
        """Leaves beyond all signed places."""
        self.count = 0
        self._log = log
        self._size = size
        self._expected = expected
        self._next = 1
        self._absent: list[Span] = []
        self._late: list[int] = []
        self._displaced: list[int] = []
        self._suspects: list[Suspect] = []
        self._unexamined = 0

    def add(self, first: int, leaves: Sequence[bytes]) -> None:
        """Take leaves that stand at places from `first` on."""
        hashes = list(map(leaf_hash, leaves))
        self.count += len(leaves)
        is_next = first == self._next and first + len(leaves) - 1 <= self._size
        if is_next and b"".join(hashes) == self._expected(first, len(leaves)):
            self._next = first + len(leaves)
            return
        if first > self._next:
            self._absent.append(Span(self._next, first - 1))
        for place, (leaf, digest) in enumerate(zip(leaves, hashes, strict=True), first):
            self._add_one(place, leaf, digest)

    def skip(self, first: int, count: int) -> None:
        """Leaves from a place on are there and cannot be read; that is found elsewhere."""
        if first > self._next:
            self._absent.append(Span(self._next, first - 1))
        self._next = max(self._next, first + count)

    def _add_one(self, place: int, leaf: bytes, digest: bytes) -> None:
        is_new = place >= self._next
        self._next = max(self._next, place + 1)
        if place > self._size:
            _extend(self.uncovered, place)
            return
        is_right = digest == self._expected(place, 1)
        if is_right and is_new:
            return
        if is_right and self._was_passed_over(place):
            # Where another leaf stands in its place, that one is the fault.
            is_displaced = any(one.place == place for one in self._suspects)
            (self._displaced if is_displaced else self._late).append(place)
            return
        if is_new:
            _extend(self._absent, place)
        if len(self._suspects) < _MOST_SUSPECTS:
            self._suspects.append(Suspect(place, digest, leaf))
        else:
            self._unexamined += 1

    def _was_passed_over(self, place: int) -> bool:
        is_known = place in self._late or place in self._displaced
        return not is_known and holds(merged(self._absent), place)

    def findings(
        self, wanted: Sequence[Span], locate: Locate, describe: Describe
    ) -> Iterator[Finding]:
        """What is wrong. `wanted` are the places that must be there."""
        self.uncovered = merged(self.uncovered)
        if self._next <= self._size:
            self._absent.append(Span(self._next, self._size))
        there = (*self._late, *self._displaced)
        absent = without(self._absent, (Span(each, each) for each in there))
        for place in self._late:
            yield self._found(Fault.REORDERED, Span(place, place), "it stands after later ones")
        known = locate({one.hash for one in self._suspects}) if self._suspects else {}
        is_explained = False
        strangers: list[Suspect] = []
        moved: list[tuple[int, Suspect]] = []
        taken: set[int] = set()
        for one in self._suspects:
            places = known.get(one.hash, [])
            free = next((each for each in places if each not in taken and holds(absent, each)), 0)
            if free:
                taken.add(free)
                moved.append((free, one))
            elif places:
                text = f"it stands again at place {one.place}"
                yield self._found(Fault.DUPLICATED, Span(places[0], places[0]), text, one, describe)
                is_explained = True
            else:
                strangers.append(one)
        yield from self._reordered(moved, describe)
        for one in strangers:
            _, stated = describe(one.leaf)
            places = [one.place, stated]
            place = next((p for p in places if p not in taken and holds(absent, p)), 0)
            taken.add(place)
            if place:
                yield self._found(Fault.ALTERED, Span(place, place), "", one, describe)
            else:
                text = f"it was never signed and stands at place {one.place}"
                yield self._found(Fault.ADDED, Span(one.place, one.place), text, one, describe)
        lost = common(without(absent, (Span(each, each) for each in taken)), wanted)
        yield from self._lost(lost)
        if moved and not (is_explained or strangers or lost or self._unexamined):
            yield from self._slid(moved)

    def _reordered(self, moved: list[tuple[int, Suspect]], describe: Describe) -> Iterator[Finding]:
        """Those whose order among themselves changed; others only slid along with them."""
        for (place, one), right in zip(moved, sorted(each for each, _ in moved), strict=True):
            if place != right:
                text = f"it stands at place {one.place}"
                yield self._found(Fault.REORDERED, Span(place, place), text, one, describe)

    def _slid(self, moved: list[tuple[int, Suspect]]) -> Iterator[Finding]:
        """All are there and in order, but said to stand elsewhere."""
        places = [place for place, one in moved if place != one.place]
        if places == sorted(places):
            text = f"they are said to begin at {moved[0][1].place}"
            yield self._found(Fault.INDEX_ALTERED, Span(min(places), max(places)), text)

    def _lost(self, absent: list[Span]) -> Iterator[Finding]:
        for span in absent:
            is_end = span.last == self._size and not self.uncovered
            fault = Fault.TRUNCATED if is_end else Fault.MISSING
            if self._unexamined:
                fault = Fault.ALTERED
            yield self._found(fault, span, "")

    def _found(
        self,
        fault: Fault,
        span: Span,
        text: str,
        one: Suspect | None = None,
        describe: Describe | None = None,
    ) -> Finding:
        name = describe(one.leaf)[0] if one is not None and describe is not None else ""
        return Finding(
            fault=fault, log=self._log, first=span.first, last=span.last, id=name, text=text
        )


def _extend(spans: list[Span], number: int) -> None:
    if spans and spans[-1].last + 1 == number:
        spans[-1] = Span(spans[-1].first, number)
    else:
        spans.append(Span(number, number))


def located(blocks: Iterable[bytes], wanted: set[bytes]) -> dict[bytes, list[int]]:
    """At which places, from 1 on, these hashes stand in joined ones."""
    found: dict[bytes, list[int]] = {}
    place = 1
    for block in blocks:
        for at in range(0, len(block), HASH_BYTES):
            digest = block[at : at + HASH_BYTES]
            if digest in wanted:
                found.setdefault(digest, []).append(place)
            place += 1
    return found


@dataclass(slots=True, kw_only=True)
class Pairing:
    """Which intents have an outcome, over all logs; memory only for those that have none yet."""

    open: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    extra: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)

    def intend(self, key: tuple[str, str], log: str, sequence: int) -> None:
        """An intent of (organisation, action)."""
        if self.extra.pop(key, None) is None:
            self.open[key] = (log, sequence)

    def conclude(self, key: tuple[str, str], log: str, sequence: int) -> None:
        """An outcome, perhaps of a log that is read before its intent's."""
        if self.open.pop(key, None) is None:
            self.extra[key] = (log, sequence)
