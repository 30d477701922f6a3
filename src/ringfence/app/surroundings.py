"""What one process of the data plane is given, beside its configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ringfence.enforcement.allowance import AllowanceLimits
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.authority import Authority
from ringfence.enforcement.invocation_view import RegistryWire
from ringfence.enforcement.lack import Supplier
from ringfence.enforcement.lease import Lender
from ringfence.enforcement.pacing import PaceWire
from ringfence.enforcement.proof import UserRegistry
from ringfence.enforcement.record import Ledger
from ringfence.enforcement.tool_grant import Grants
from ringfence.gateways.action import Elsewhere, nowhere
from ringfence.gateways.data_plane import Readiness
from ringfence.gateways.tool.neighbour import ALONE, Neighbours
from ringfence.stores.ledger.masking import Masking
from ringfence.stores.secret import Secrets
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids
from ringfence.transport.http import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a worker is given: the ledger, the network, time, chance, secrets, users' ids."""

    ledger: Ledger
    client: Client
    secrets: Secrets
    clock: Clock
    ids: Ids
    readiness: Readiness
    users: UserRegistry
    approvals: Approvals | None = None
    """Where calls wait for a person; None where nobody can be asked, which denies."""
    granted: Grants | None = None
    """Whoever has access tokens that people have granted; None where nobody has."""
    elsewhere: Elsewhere = nowhere
    """Takes the outcome of an action that another worker keeps."""
    registry: RegistryWire | None = None
    """The way to the registry of invocations; None where this worker knows them all."""
    supplier: Supplier | None = None
    """Whoever can be asked for what another process holds; None where this one holds everything."""
    lender: Lender | None = None
    """Whoever lends it slabs of shared limits; None where all of every limit is held here."""
    pace_wire: PaceWire | None = None
    """The way to the lanes of paced upstreams; None where they are held here."""
    ledger_totals: Callable[[], Mapping[str, int]] = dict
    """What the ledger has counted, by the names that metrics have."""
    authority: Authority | None = None
    """How long it may act on its own; None where it shares its agents with nobody."""
    masking: Masking | None = None
    """What masks messages before the ledger stores them."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The process's own environment, of which tool servers that are commands need a little."""
    neighbours: Neighbours = ALONE
    """Where the plane's other workers are."""
    sandbox_socket: str = ""
    """Where the monitors of its sandboxes join it."""
    allowance: AllowanceLimits = field(default_factory=AllowanceLimits)
    """What calls may hold of its memory."""
    seal_key: bytes = field(default=b"", repr=False)
    """Seals what clients carry for the plane: one for all its workers; empty for one of its own."""
