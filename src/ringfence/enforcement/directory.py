"""Who may knock: agents and their credentials as the plane knows them right now."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from ringfence.decisions.charge import Plan, compile_plan
from ringfence.domain.agent import Agent, AgentState
from ringfence.domain.credential import AgentCredential, CallerTier
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.route import Route, compile_routes, within

DROPPED_KEPT = 10_000
"""How many ended invocation tokens are still told that they have ended."""


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
        self._credentials: dict[str, AgentCredential] = {}
        self._dropped: OrderedDict[bytes, None] = OrderedDict()
        self.configuration: Configuration | None = None

    def install(self, configuration: Configuration, states: Mapping[str, AgentState]) -> None:
        """Take a new epoch whole. `states` is by agent id; an agent not in it is active.

        An agent that is no longer defined is retired. If it comes back, so do its tokens.
        """
        defined = [
            (organisation, agent, _routes_of(agent, routes))
            for organisation, routes in [
                (each, compile_routes(each)) for each in configuration.organisations.values()
            ]
            for agent in organisation.agents.values()
        ]
        for runtime in self._agents.values():
            runtime.state = AgentState.RETIRED
        for organisation, agent, routes in defined:
            runtime = self._agents.setdefault(agent.id, AgentRuntime(organisation, agent))
            runtime.define(organisation, agent, routes)
            runtime.state = states.get(agent.id, AgentState.ACTIVE)
        self.configuration = configuration
        self.put_credentials(list(self._credentials.values()))

    def put_credentials(self, credentials: Iterable[AgentCredential]) -> None:
        """Add or change agent tokens; one whose agent is unknown waits for an epoch with it."""
        for credential in credentials:
            self._credentials[credential.id] = credential
            runtime = self._agents.get(credential.agent)
            if runtime is not None:
                caller = Caller(runtime=runtime, credential=credential.id, chain=(runtime.id,))
                self._entries[credential.digest] = _Entry(caller, credential.revoked_us)

    def put_invocation_token(self, digest: bytes, caller: Caller) -> None:
        """Add an invocation token. It dies with the agent token that it was narrowed from."""
        self._entries[digest] = _Entry(caller, None)

    def drop_invocation_token(self, digest: bytes, now_us: int) -> None:
        """End an invocation token; from now on it is refused as revoked."""
        entry = self._entries.get(digest)
        if entry is not None:
            entry.revoked_us = now_us
            self._dropped[digest] = None
            if len(self._dropped) > DROPPED_KEPT:
                del self._entries[self._dropped.popitem(last=False)[0]]

    def agent(self, agent_id: str) -> AgentRuntime | None:
        """The agent with that id."""
        return self._agents.get(agent_id)

    def agents(self) -> Iterable[AgentRuntime]:
        """Every agent, also retired ones."""
        return self._agents.values()

    def is_revoked(self, credential: str, now_us: int) -> bool:
        """Whether an agent token's time is over, the time for its rotation too."""
        known = self._credentials.get(credential)
        return known is not None and is_over(known.revoked_us, now_us)

    def identify(self, token: bytes | None, now_us: int) -> Caller | Unidentified:
        """The caller behind a token."""
        if not token:
            return _MISSING
        entry = self._entries.get(digest_of(token))
        if entry is None:
            return _UNKNOWN
        caller = entry.caller
        if is_over(entry.revoked_us, now_us):
            return Unidentified(verdict=REVOKED, caller=caller)
        if caller.invocation is not None:
            origin = self._credentials.get(caller.credential)
            if origin is None or is_over(origin.revoked_us, now_us):
                return Unidentified(verdict=REVOKED, caller=caller)
        return caller


def is_over(revoked_us: int | None, now_us: int) -> bool:
    """Whether a credential's time is over; one that is being rotated has some left."""
    return revoked_us is not None and now_us >= revoked_us


def _routes_of(agent: Agent, routes: Mapping[str, Route]) -> dict[str, Route]:
    """The routes that an agent may use; a fallback out of its scope is none for it (DESIGN §8)."""
    names = agent.scope.models
    return {name: within(route, names) for name, route in routes.items() if name in names}


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
REVOKED = Deny(
    reason=Reason(
        code=Code.CREDENTIAL_REVOKED,
        message="This agent token has been revoked. Do not retry; ask the agent's owner for a "
        "new one.",
    )
)
