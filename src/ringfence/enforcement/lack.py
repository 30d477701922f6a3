"""What a worker lacks to decide at once, because another process holds it.

`ModelPath.begin` never waits. Where it would have to, it gives a `Lacking`; the door then waits for
`ModelPath.supply`, which asks the `Supplier` and begins again. A plane of one process holds
everything in memory and never lacks anything.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from ringfence.decisions.reservation import Count, Demand
from ringfence.domain.lease import Need, Want
from ringfence.domain.money import Money
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.live import Refusable

SUPPLY_ROUNDS = 10
"""How often a call may lack something: an invocation, then a slab of its budget, then a place at
its provider, and again because a neighbour was quicker."""

OUTCOME_ROUNDS = 2
"""How often a call waits for outcomes: the second time for those of calls that were quicker."""

OUTCOME_S = 0.5
"""How long a call waits for outcomes each time; a group is durable after some milliseconds."""

SUPPLY_S = 2.0
"""How long a call waits for one answer; an authority lease is over after half of that."""


class Lack(StrEnum):
    """What kind of thing is lacking."""

    INVOCATION = "invocation"
    """Which invocation this is, or whether it is open: known to its owner."""
    LEASE = "lease"
    """A slab of a shared limit."""
    OUTCOME = "outcome"
    """The outcome of a call that is over, durable: what it has not used may then be used."""
    LISTING = "listing"
    """What a server of tools offers, which was never asked for here."""
    APPROVAL = "approval"
    """The use of an approval, which its store grants once."""
    TOPIC = "topic"
    """What a model says that a message is about."""
    PLACE = "place"
    """A place at a provider whose calls are paced."""


class Lacking(msgspec.Struct, frozen=True, kw_only=True):
    """What `begin` lacked; nothing was counted, reserved or written."""

    lack: Lack
    organisation: str
    names: tuple[str, ...] = ()
    """What is asked for, in words of the kind: an invocation's id, the accounts, the provider."""
    amount: int = 0
    """How much of it the call needs, where it is counted."""
    question: msgspec.Struct | None = None
    """The message that asks for it."""


class Wanting(NamedTuple):
    """All that a call needs of shared limits, as `Book.wants` takes it."""

    demands: Sequence[Demand]
    amount: Money
    now_us: int
    counts: Sequence[Count]


class LackingSlabs(Lacking, frozen=True, kw_only=True):
    """Slabs of shared limits that a call needs."""

    wants: tuple[Want, ...]
    agent: str
    need: Need
    """What this call needs, by which the next run of the agent is judged."""
    call: Wanting


class Supplied(StrEnum):
    """What asking has brought."""

    MORE = "more"
    """It is worth beginning again."""
    ALL = "all"
    """Nothing more can be had: decide with what is held here now."""


class Supplier(Protocol):
    """Whoever can ask the processes that hold what a worker lacks."""

    async def supply(self, lacking: Lacking) -> Reason | Refusable | Supplied:
        """Fetch it, or say why it cannot be had.

        Raises UnavailableError if nobody answers.
        """


class Supplies:
    """Several suppliers as one, each for one kind."""

    def __init__(self, suppliers: Mapping[Lack, Supplier], others: Supplier | None = None) -> None:
        """`others` is asked for every kind that has none of its own."""
        self._suppliers = suppliers
        self._others = others

    async def supply(self, lacking: Lacking) -> Reason | Refusable | Supplied:
        """Ask whoever has this kind."""
        supplier = self._suppliers.get(lacking.lack, self._others)
        if supplier is None:
            return not_supplied(lacking, "nobody_to_ask")
        return await supplier.supply(lacking)


def not_supplied(lacking: Lacking, cause: str) -> Reason:
    """Why a call is denied whose lack nobody has supplied in time."""
    return Reason(
        code=Code.STORE_UNAVAILABLE,
        message="Ringfence could not reach the part of itself that keeps its limits, so this call "
        "was not made. Nothing was charged.",
        facts=(("lacking", lacking.lack.value), ("cause", cause)),
    )
