"""The words of leases: how workers share a limit, and what they tell the broker of it.

Every message is plain data, so that it means the same in one process and between two. Amounts are
nano-dollars or counts, by the unit of the account; times are UTC microseconds. What a worker says
of one account adds up in any order of its messages; only what it has reserved, which is for people
to see, is as the last message says.
"""

from typing import NewType

import msgspec

from ringfence.domain.budget import AccountKey

Holder = NewType("Holder", str)
"""One worker in one life: after a restart it is another holder."""


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """One account that a worker has too little of for a call."""

    key: AccountKey
    window_start_us: int
    window_end_us: int | None
    limit: int
    """As the configuration or a token states it, without grants."""
    need: int
    """What is missing for the call: less is of no use."""
    each: int
    """What one call like it needs in all: slabs are of whole calls, so that no crumbs are left."""
    calls: int
    """How many such calls a slab should serve, far from the limit."""


class Spent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a worker has spent of one account since it last said so, and what it has set aside."""

    key: AccountKey
    window_start_us: int
    amount: int = 0
    uncovered: int = 0
    """How much of it was above what the worker held."""
    overrun: int = 0
    """How much was charged above reservations."""
    reserved: int = 0
    """Set aside now for calls under way; replaces what was said before."""
    times_us: tuple[int, ...] = ()
    """When a rate was drawn on: one for each of `amount`."""


class Returned(msgspec.Struct, frozen=True):
    """A part of a lease that a worker gives back."""

    key: AccountKey
    window_start_us: int
    amount: int


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="lease.report"):
    """What a worker has spent and gives back."""

    spent: tuple[Spent, ...] = ()
    returned: tuple[Returned, ...] = ()


NOTHING = Report()


class Take(msgspec.Struct, frozen=True, kw_only=True, tag="lease.take"):
    """A worker asks for slabs of several accounts at once, under the limits of an epoch."""

    epoch: int
    wants: tuple[Want, ...]
    report: Report = NOTHING


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What one call like the last ones of its agent needs: nano-dollars, and tokens."""

    amount: int
    tokens: int


class Slab(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an account that is now the worker's, and how the account stands after it."""

    key: AccountKey
    window_start_us: int
    window_end_us: int | None
    amount: int
    limit: int
    """Grants included."""
    free: int
    """Held by nobody; negative while an overrun or a lowered limit is uncovered."""


class Taken(msgspec.Struct, frozen=True, kw_only=True, tag="lease.taken"):
    """The answer to `Take`: everything needed, or as much as there is and `is_short`.

    `frees_us` is when more of a rate may be had; 0 if that is not known.
    """

    slabs: tuple[Slab, ...]
    is_short: bool = False
    frees_us: int = 0


class Recall(msgspec.Struct, frozen=True, tag="lease.recall"):
    """The broker asks a worker for what is idle of these accounts; the answer is a `Report`."""

    accounts: tuple[tuple[AccountKey, int], ...]
    """Each with the start of its window."""


class Charged(msgspec.Struct, frozen=True):
    """What the ledger proves that a holder spent of one account in all."""

    key: AccountKey
    window_start_us: int
    amount: int


class AccountState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One account of the broker as planes hand it to each other: `decisions.account`."""

    key: AccountKey
    start_us: int
    end_us: int | None
    stated: int = 0
    epoch: int = -1
    granted: int = 0
    spent: int = 0
    overrun: int = 0
    lent: dict[Holder, int] = {}
    reserved: dict[Holder, int] = {}
    told: dict[Holder, int] = {}
    waiting: dict[Holder, int] = {}
    times_us: tuple[int, ...] = ()
