"""What workers begin with, as small as it can be."""

from tests.approvals import NOBODY
from tests.gateways.world import MemoryUsers, organisation
from tests.tools import MemoryArchive

from ringfence.app.group import Beginning, Epoch
from ringfence.domain.credential import AgentCredential
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.record import Ledger
from ringfence.stores.ledger import Recovered
from ringfence.stores.secret import EnvironmentSecrets


def epoch(acme: Organisation | None = None, *, number: int = 1) -> Epoch:
    """A configuration of one organisation, without secrets."""
    configuration = Configuration(
        organisations={"acme": acme or organisation()}, digest="sha256:1", epoch=number
    )
    return Epoch(
        configuration=configuration, states={}, secrets=EnvironmentSecrets(frozenset(), {})
    )


def beginning(
    ledger: Ledger,
    approvals: Approvals,
    *,
    acme: Organisation | None = None,
    credentials: tuple[AgentCredential, ...] = (),
    recovered: Recovered | None = None,
) -> Beginning:
    """Nothing was given out and nothing is recovered, unless it is said."""
    return Beginning(
        epoch=epoch(acme),
        credentials=credentials,
        grants=(),
        recovered=recovered or Recovered(),
        users=MemoryUsers(),
        ledger=ledger,
        granted=NOBODY,
        approvals=approvals,
        tool_archive=MemoryArchive(),
    )
