"""Who may knock: agents and their credentials as the plane knows them right now."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from ringfence.decisions.charge import Plan, compile_plan
from ringfence.domain.agent import Agent, AgentState
from ringfence.domain.credential import AgentCredential, CallerTier
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.route import Route, compile_routes


class AgentRuntime:
    """One agent: its definition in the present epoch and its state.

    The object stays the same over reloads, so that open invocations see what changed.
    """

    __slots__ = ("agent", "organisation", "plan", "routes", "state")

    def __init__(self, organisation: Organisation, agent: Agent) -> None:
        """Begin active, without routes; `Directory.install` fills them in."""
        self.state = AgentState.ACTIVE
        self.define(organisation, agent, {})

    def define(self, organisation: Organisation, agent: Agent, routes: Mapping[str, Route]) -> None:
        """Take the definition of a new epoch."""
        self.organisation = organisation
        self.agent = agent
        self.routes = routes
        self.plan: Plan = compile_plan(organisation, agent, ZoneInfo(organisation.timezone))

    @property
    def id(self) -> str:
        """The agent's immutable id."""
        return self.agent.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who a request comes from, as its credential proves.

    `invocation` is set for an invocation token and names the only invocation it may act in.
    """

    runtime: AgentRuntime
    credential: str
    invocation: str | None = None
    chain: tuple[str, ...] = ()
    tier: CallerTier = CallerTier.API


@dataclass(frozen=True, slots=True, kw_only=True)
class Unidentified:
    """A request whose credential proves nothing any more.

    `caller` is known when the credential was ours once: then the refusal is recorded.
    """

    verdict: Deny
    caller: Caller | None = None


@dataclass(slots=True)
class _Entry:
    caller: Caller
    revoked_us: int | None


class Directory:
    """Finds the caller behind a token. Holds hashes only, never a token."""

    def __init__(self) -> None:
        """Empty: everybody is refused."""
        self._entries: dict[bytes, _Entry] = {}
        self._agents: dict[str, AgentRuntime] = {}
        self.configuration: Configuration | None = None

    def install(self, configuration: Configuration, states: Mapping[str, AgentState]) -> None:
        """Take a new epoch whole. `states` is by agent id; an agent not in it is active.

        An agent that is no longer defined is retired.
        """
        defined: set[str] = set()
        for organisation in configuration.organisations.values():
            routes = compile_routes(organisation)
            for agent in organisation.agents.values():
                defined.add(agent.id)
                runtime = self._agents.setdefault(agent.id, AgentRuntime(organisation, agent))
                mine = {n: route for n, route in routes.items() if n in agent.scope.models}
                runtime.define(organisation, agent, mine)
                runtime.state = states.get(agent.id, AgentState.ACTIVE)
        for agent_id, runtime in self._agents.items():
            if agent_id not in defined:
                runtime.state = AgentState.RETIRED
        self.configuration = configuration

    def put_credentials(self, credentials: Iterable[AgentCredential]) -> None:
        """Add or change agent tokens. One whose agent is unknown is ignored."""
        for credential in credentials:
            runtime = self._agents.get(credential.agent)
            if runtime is not None:
                caller = Caller(runtime=runtime, credential=credential.id, chain=(runtime.id,))
                self._entries[credential.digest] = _Entry(caller, credential.revoked_us)

    def put_invocation_token(self, digest: bytes, caller: Caller) -> None:
        """Add an invocation token."""
        self._entries[digest] = _Entry(caller, None)

    def drop_invocation_token(self, digest: bytes, now_us: int) -> None:
        """End an invocation token; from now on it is refused as revoked."""
        entry = self._entries.get(digest)
        if entry is not None:
            entry.revoked_us = now_us

    def agent(self, agent_id: str) -> AgentRuntime | None:
        """The agent with that id."""
        return self._agents.get(agent_id)

    def agents(self) -> Iterable[AgentRuntime]:
        """Every agent, also retired ones."""
        return self._agents.values()

    def identify(self, token: bytes | None, now_us: int) -> Caller | Unidentified:
        """The caller behind a token."""
        if not token:
            return _MISSING
        entry = self._entries.get(digest_of(token))
        if entry is None:
            return _UNKNOWN
        if entry.revoked_us is not None and now_us >= entry.revoked_us:
            return Unidentified(verdict=_REVOKED, caller=entry.caller)
        return entry.caller


def digest_of(token: bytes) -> bytes:
    """How a token is kept. 256 random bits need no slow hash."""
    return hashlib.sha256(token).digest()


_MISSING = Unidentified(
    verdict=Deny(
        reason=Reason(
            code=Code.CREDENTIAL_MISSING,
            message="Ringfence needs an agent token. Send it as `Authorization: Bearer rf_…`, "
            "`x-api-key: rf_…` or `x-goog-api-key: rf_…`; `ringfence agent token NAME` makes one.",
        )
    )
)
_UNKNOWN = Unidentified(
    verdict=Deny(
        reason=Reason(
            code=Code.CREDENTIAL_UNKNOWN,
            message="Ringfence does not know this agent token. Do not retry; ask whoever runs "
            "Ringfence for a valid one.",
        )
    )
)
_REVOKED = Deny(
    reason=Reason(
        code=Code.CREDENTIAL_REVOKED,
        message="This agent token has been revoked. Do not retry; ask the agent's owner for a "
        "new one.",
    )
)
