"""Who may knock: agents and their credentials as the plane knows them right now."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ringfence.domain.agent import Agent, AgentState, Category
from ringfence.domain.caller import CallerTier
from ringfence.domain.credential import AgentCredential
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.sandbox import is_sandbox
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.route import compile_routes
from ringfence.enforcement.runtime import AgentRuntime

DROPPED_KEPT = 10_000
"""How many ended invocation tokens are still told that they have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who a request comes from, as its credential proves.

    `invocation` is set for an invocation token and names the only invocation it may act in. On
    whose behalf it is, is `runtime.principal`; `proof` is the id of the user token that says so, if
    it is one of ours, and `ends_us` when the proof is over.
    """

    runtime: AgentRuntime
    credential: str
    invocation: str | None = None
    chain: tuple[str, ...] = ()
    tier: CallerTier = CallerTier.API
    proof: str = ""
    ends_us: int | None = None


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
        self._user_tokens: dict[bytes, AgentCredential] = {}
        self._states: Mapping[str, AgentState] = {}
        self._dropped: OrderedDict[bytes, None] = OrderedDict()
        self.configuration: Configuration | None = None

    def install(self, configuration: Configuration, states: Mapping[str, AgentState]) -> None:
        """Take a new epoch whole. `states` is by agent id; an agent not in it is active.

        An agent that is no longer defined is retired. If it comes back, so do its tokens.
        """
        defined = [
            (organisation, agent, routes)
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
        self._states = states
        self.configuration = configuration
        self.put_credentials(list(self._credentials.values()))

    def put_credentials(self, credentials: Iterable[AgentCredential]) -> None:
        """Add or change tokens; one whose agent is unknown waits for an epoch with it."""
        for credential in credentials:
            self._credentials[credential.id] = credential
            if not credential.agent:
                self._user_tokens[credential.digest] = credential
                continue
            runtime = self._agents.get(credential.agent) or self._gone(credential)
            if runtime is not None:
                caller = Caller(
                    runtime=runtime.used_by((credential.tier,)),
                    credential=credential.id,
                    chain=(runtime.id,),
                    tier=credential.tier,
                )
                self._entries[credential.digest] = _Entry(caller, credential.revoked_us)

    def _gone(self, credential: AgentCredential) -> AgentRuntime | None:
        """The agent of a token that no file names any more: its calls are refused by name."""
        if self._states.get(credential.agent) is not AgentState.RETIRED:
            return None
        runtime = AgentRuntime(
            self._organisation(credential.organisation),
            Agent(
                name=credential.agent,
                id=credential.agent,
                owner=_NOBODY,
                team=None,
                category=Category.BOUNDED,
                purpose="",
            ),
        )
        runtime.state = AgentState.RETIRED
        self._agents[runtime.id] = runtime
        return runtime

    def _organisation(self, organisation: str) -> Organisation:
        known = self.configuration.organisations if self.configuration is not None else {}
        plain = Organisation(name=organisation, id=organisation)
        return next((each for each in known.values() if each.id == organisation), plain)

    def tier_of(self, credential: str) -> CallerTier:
        """The caller tier of an agent token's calls."""
        known = self._credentials.get(credential)
        return CallerTier.API if known is None else known.tier

    def user_token(self, token: bytes, now_us: int) -> AgentCredential | None:
        """The user token with this secret, unless its time is over."""
        found = self._user_tokens.get(digest_of(token))
        return None if found is None or is_over(found.revoked_us, now_us) else found

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

    def drop_credential(self, credential: str) -> None:
        """Forget a credential that was never stored; tokens narrowed from it are revoked."""
        known = self._credentials.pop(credential, None)
        if known is not None:
            self._entries.pop(known.digest, None)

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

    def identify(
        self, digest: bytes | None, now_us: int, *, is_forwarded: bool = False
    ) -> Caller | Unidentified:
        """The caller behind a token, by the token's digest.

        A sandbox's credential is known to the worker that owns the sandbox and to no other, so that
        its token counts as revoked there, unless that worker `is_forwarded` from.
        """
        if digest is None:
            return _MISSING
        entry = self._entries.get(digest)
        if entry is None:
            return _UNKNOWN
        caller = entry.caller
        if is_over(entry.revoked_us, now_us):
            return Unidentified(verdict=REVOKED, caller=caller)
        if caller.invocation is not None:
            origin = self._credentials.get(caller.credential)
            is_vouched = is_forwarded and is_sandbox(caller.credential)
            if is_over(origin.revoked_us, now_us) if origin is not None else not is_vouched:
                return Unidentified(verdict=REVOKED, caller=caller)
            if caller.proof and self.is_revoked(caller.proof, now_us):
                return Unidentified(verdict=PROOF_REVOKED, caller=caller)
        return caller


def is_over(revoked_us: int | None, now_us: int) -> bool:
    """Whether a credential's time is over; one that is being rotated has some left."""
    return revoked_us is not None and now_us >= revoked_us


def digest_of(token: bytes) -> bytes:
    """How a token is kept. 256 random bits need no slow hash."""
    return hashlib.sha256(token).digest()


_NOBODY = "an administrator of your organisation"

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
PROOF_REVOKED = Deny(
    reason=Reason(
        code=Code.PROOF_REFUSED,
        message="The user token that this run acts on has been revoked or has expired. Do not "
        "retry; ask the user for a new one.",
    )
)
