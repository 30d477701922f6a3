"""What a supervisor and its workers say to each other; every message is plain data.

`VERSION` changes with any of them: processes of different versions refuse each other.
"""

from typing import Final

import msgspec

from ringfence import __version__
from ringfence.app.approval_message import (
    ConsumeApproval,
    ConsumedApproval,
    FindApproval,
    FoundApproval,
    HeldCall,
    HoldCall,
)
from ringfence.app.change_message import (
    Configure,
    CredentialsChange,
    Renewal,
    SecretsChange,
    StateChange,
)
from ringfence.app.group import Place
from ringfence.app.sandbox_message import (
    EndSandbox,
    ListSandboxes,
    OpenedSandbox,
    OpenSandbox,
    SandboxList,
    SandboxTaken,
)
from ringfence.config.settings import SQLITE
from ringfence.decisions.breaker import Breaker
from ringfence.decisions.input_bound import Evidence
from ringfence.decisions.retry import Retried
from ringfence.domain.credential import AgentCredential
from ringfence.domain.errand import Errand, ErrandOutcome
from ringfence.domain.lease import Recall, Report, Take, Taken
from ringfence.domain.model import UpstreamKey, UpstreamStanding
from ringfence.domain.pacing import Enter, Entered, Left, Paused
from ringfence.domain.registry import (
    Card,
    Declare,
    End,
    Ended,
    Heard,
    Marked,
    Opened,
    Resolve,
    Resolved,
)
from ringfence.domain.tool_source import ToolListing, ToolSource
from ringfence.enforcement.allowance import AllowanceLimits
from ringfence.enforcement.provider_object import Kept
from ringfence.enforcement.tool_grant import GrantedToken
from ringfence.gateways.action_form import Reported
from ringfence.stores.ledger.experience import ProviderObject
from ringfence.telemetry.metric import Measured
from ringfence.transport.link import Failed

VERSION: Final = f"{__version__}+9"


class Learned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="learned"):
    """What one worker has seen of providers and all must know.

    `kept` are objects and whose they are; `seen`, by organisation and model, makes a bound of input
    rise. `breakers` have opened, or closed; `paused` have asked to be left alone; `retried` are
    requests that have failed, or failed no more; `refused` tokens, by their names in `Secrets`,
    that were not taken.
    """

    kept: tuple[Kept, ...] = ()
    seen: tuple[tuple[str, str, Evidence], ...] = ()
    breakers: tuple[tuple[UpstreamKey, Breaker], ...] = ()
    paused: tuple[Paused, ...] = ()
    retried: tuple[Retried, ...] = ()
    refused: tuple[str, ...] = ()


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """The first thing a worker is told: everything it needs to serve. Answered by `Started`.

    `log` is the log it writes and `signing_key` the file that it signs it with; `evidence`, per
    organisation and model, is what calls have shown of their input, `objects` what providers keep.
    """

    worker: int
    workers: int = 1
    """How many there are."""
    data: str
    log: str
    signing_key: str = ""
    """Empty for the data folder's own."""
    allowance: AllowanceLimits = AllowanceLimits()
    """What calls may hold of its memory."""
    database: str = SQLITE
    """As the settings name it. INVARIANT (I5): it may hold a password; see `__repr__`."""
    place: Place
    configure: Configure
    credentials: tuple[AgentCredential, ...]
    evidence: tuple[tuple[str, str, Evidence], ...] = ()
    objects: tuple[ProviderObject, ...] = ()
    learned: Learned = Learned()
    """What workers have told since the plane started."""
    seal_key: bytes = b""
    """Seals what clients carry for the plane. INVARIANT (I5): it is a secret; see `__repr__`."""
    opened: tuple[Card, ...] = ()
    """Open runs that have a token."""
    tools: tuple[ToolSource, ...] = ()
    """Every source of tools."""

    def __repr__(self) -> str:
        """Without the database's address."""
        return f"Start(worker={self.worker}, log={self.log!r})"


class Started(msgspec.Struct, frozen=True, kw_only=True, tag="started"):
    """The worker listens."""

    port: int


class Identify(msgspec.Struct, frozen=True, kw_only=True, tag="identify"):
    """A worker asks for the lasting id of a user, made at first sight."""

    organisation: str
    name: str


class Identified(msgspec.Struct, frozen=True, tag="identified"):
    """The answer to `Identify`."""

    user: str


class ReportAction(msgspec.Struct, frozen=True, tag="report_action"):
    """What came of an action that another worker keeps; asked of every other one in turn."""

    reported: Reported


class ActionTaken(msgspec.Struct, frozen=True, tag="action_taken"):
    """The answer to `ReportAction`: whether that worker kept it."""

    is_taken: bool


class GetToken(msgspec.Struct, frozen=True, kw_only=True, tag="get_token"):
    """A worker needs an access token that a person has granted, and not the `refused` one.

    INVARIANT (I5): its `repr` holds no secret.
    """

    organisation: str
    server: str
    refused: str = ""

    def __repr__(self) -> str:
        """Never the token."""
        return f"GetToken({self.server})"


class GotToken(msgspec.Struct, frozen=True, tag="got_token"):
    """The answer to `GetToken`."""

    token: GrantedToken


class ToolGrantChanged(msgspec.Struct, frozen=True, kw_only=True, tag="tool_grant_changed"):
    """What a person has granted of a server is another one now, or nothing."""

    organisation: str
    server: str


class CatchUp(msgspec.Struct, frozen=True, tag="catch_up"):
    """Answer when all events so far are durable; with bodies, when those are on disk too."""

    with_bodies: bool


class Measure(msgspec.Struct, frozen=True, tag="measure"):
    """Say what you have counted."""


class Measurement(msgspec.Struct, frozen=True, tag="measurement"):
    """The answer to `Measure`."""

    measured: Measured


class Watched(msgspec.Struct, frozen=True, kw_only=True, tag="watched"):
    """Say how the upstreams of an organisation stand."""

    organisation: str


class Standings(msgspec.Struct, frozen=True, kw_only=True, tag="standings"):
    """The answer to `Watched`."""

    upstreams: list[UpstreamStanding]


class CarryOut(msgspec.Struct, frozen=True, tag="carry_out"):
    """Make a call that a person asks for; answered by `Carried` when it has ended."""

    errand: Errand


class Carried(msgspec.Struct, frozen=True, tag="carried"):
    """The answer to `CarryOut`."""

    outcome: ErrandOutcome


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Accept no more, let running answers end for so long, write everything, and end."""

    grace_s: float


class Hurry(msgspec.Struct, frozen=True, tag="hurry"):
    """Do not wait for running answers any longer."""


class PlaneTrouble(msgspec.Struct, frozen=True, tag="plane_trouble"):
    """Why the whole plane should not be used, for `/readyz`; empty if it can."""

    words: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It has been done."""


class Pulse(msgspec.Struct, frozen=True, kw_only=True, tag="pulse"):
    """How a worker is, told a few times a second.

    `trouble` is empty if it can do its work. `inquiries` counts what it asked its supervisor,
    `lapses` what had to wait for authority, `lost` events that could not be written.
    """

    epoch: int
    open_invocations: int
    connections: int
    memory_bytes: int
    cpu_us: int
    inquiries: int
    lapses: int
    lost: int
    trouble: str


Message = (
    Take
    | Taken
    | Recall
    | Report
    | Resolve
    | Declare
    | Resolved
    | End
    | Heard
    | Marked
    | Opened
    | Ended
    | Start
    | Started
    | Configure
    | CredentialsChange
    | StateChange
    | SecretsChange
    | Renewal
    | Identify
    | Identified
    | ReportAction
    | ActionTaken
    | HoldCall
    | HeldCall
    | FindApproval
    | FoundApproval
    | ConsumeApproval
    | ConsumedApproval
    | GetToken
    | GotToken
    | ToolGrantChanged
    | CatchUp
    | Measure
    | Measurement
    | Watched
    | Standings
    | OpenSandbox
    | OpenedSandbox
    | ListSandboxes
    | SandboxList
    | EndSandbox
    | SandboxTaken
    | CarryOut
    | Carried
    | Drain
    | Hurry
    | PlaneTrouble
    | Done
    | Pulse
    | Learned
    | ToolListing
    | ToolSource
    | Enter
    | Entered
    | Left
    | Failed
)
