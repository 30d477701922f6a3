"""On whose behalf an agent acts: a proof becomes a caller who is narrower than the agent."""

import hashlib
from collections import OrderedDict
from dataclasses import replace
from typing import Final, Protocol, final

from ringfence.decisions import proof as claims_of
from ringfence.decisions import reason
from ringfence.domain.credential import USER_TOKEN_PREFIX
from ringfence.domain.error import PeerError, UnavailableError
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.user import Principal
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.directory import Caller, Directory, is_over
from ringfence.enforcement.issuer_keys import FRESH_US, IssuerKeys
from ringfence.protocols import jwt
from ringfence.transport.clock import Clock

KEPT: Final = 10_000
"""How many proofs are remembered; one that was forgotten is proven again."""


class UserRegistry(Protocol):
    """Gives users who are not named in the configuration their lasting ids."""

    async def user_id(self, organisation: str, name: str) -> str:
        """The id of a user of an organisation, made at first sight. Raises UnavailableError."""


@final
class Proofs:
    """Proves users; one for each worker. Holds hashes of proofs, never a proof."""

    def __init__(
        self, *, directory: Directory, keys: IssuerKeys, users: UserRegistry, clock: Clock
    ) -> None:
        """Nobody is proven yet."""
        self._directory = directory
        self._keys = keys
        self._users = users
        self._clock = clock
        self._proven: OrderedDict[tuple[str, bytes], tuple[Caller, int]] = OrderedDict()
        """Each with when it must be proven again, for its issuer may have withdrawn the key."""
        self._configuration: Configuration | None = None

    async def prove(self, caller: Caller, proof: bytes) -> Caller | Deny:
        """The caller on behalf of whom the proof names; it can do no more than `caller` alone.

        The same proof gives the same object for a while, as long as the configuration is the same.
        """
        runtime = caller.runtime
        if caller.invocation is not None:
            return Deny(reason=reason.proof_refused(runtime.agent, _FIXED))
        key = (caller.credential, hashlib.sha256(proof).digest())
        found: Caller | Reason | None = self._remembered(key)
        if found is None:
            try:
                found = await self._prove(caller, proof)
            except UnavailableError as error:
                found = _unavailable(error)
            if isinstance(found, Caller):
                self._remember(key, found)
        if isinstance(found, Reason):
            return Deny(reason=found)
        if found.runtime.is_barred and found.runtime.principal is not None:
            name = found.runtime.principal.name or found.runtime.principal.id
            return Deny(reason=reason.user_unknown(runtime.agent, name))
        return found

    def _remembered(self, key: tuple[str, bytes]) -> Caller | None:
        """What is still proven: the configuration may have changed, the proof's time be over."""
        if self._configuration is not self._directory.configuration:
            self._configuration = self._directory.configuration
            self._proven.clear()
        known, until_us = self._proven.get(key, (None, 0))
        if known is None:
            return None
        now_us = self._clock.now_us()
        is_late = now_us >= until_us or is_over(known.ends_us, now_us)
        if is_late or self._directory.is_revoked(known.proof, now_us):
            del self._proven[key]
            return None
        self._proven.move_to_end(key)
        return known

    def _remember(self, key: tuple[str, bytes], caller: Caller) -> None:
        self._proven[key] = caller, self._clock.now_us() + FRESH_US
        if len(self._proven) > KEPT:
            self._proven.popitem(last=False)

    async def _prove(self, caller: Caller, proof: bytes) -> Caller | Reason:
        if proof.startswith(USER_TOKEN_PREFIX.encode()):
            return self._by_token(caller, proof)
        try:
            return await self._by_issuer(caller, proof)
        except PeerError as error:
            return reason.proof_refused(caller.runtime.agent, error.message)

    def _by_token(self, caller: Caller, proof: bytes) -> Caller | Reason:
        """By a user token of ours: another organisation's is as unknown as any."""
        organisation = caller.runtime.organisation
        token = self._directory.user_token(proof, self._clock.now_us())
        if token is None or token.organisation != organisation.id:
            return reason.proof_refused(caller.runtime.agent, _NO_TOKEN)
        names = {user.id: name for name, user in organisation.users.items()}
        principal = Principal(id=token.user, name=names.get(token.user, ""))
        return _on_behalf_of(caller, principal, proof=token.id, ends_us=token.revoked_us)

    async def _by_issuer(self, caller: Caller, proof: bytes) -> Caller | Reason:
        runtime = caller.runtime
        organisation, name = runtime.organisation, jwt.issuer_of(proof)
        issuers = organisation.issuers.values()
        issuer = next((each for each in issuers if each.issuer == name), None)
        if issuer is None:
            return reason.proof_refused(runtime.agent, "its issuer is not known here")
        keys = await self._keys.of(organisation.id, issuer, jwt.key_of(proof))
        claims = jwt.verify(proof, keys, issuer.algorithms)
        vouched = claims_of.judge(claims, issuer, self._clock.now_us())
        if isinstance(vouched, str):
            return reason.proof_refused(runtime.agent, vouched)
        user_id = await self._user_id(organisation, vouched.user)
        if not user_id:
            return reason.user_unknown(runtime.agent, vouched.user)
        principal = Principal(id=user_id, name=vouched.user)
        return _on_behalf_of(caller, principal, ends_us=vouched.ends_us)

    async def _user_id(self, organisation: Organisation, name: str) -> str:
        """Empty for somebody for whom no agent may act: strangers leave no trace in the store."""
        named = organisation.users.get(name)
        if named is not None:
            return named.id
        if organisation.default_user is None:
            return ""
        return await self._users.user_id(organisation.id, name)


def _on_behalf_of(
    caller: Caller, principal: Principal, *, ends_us: int | None, proof: str = ""
) -> Caller:
    runtime = caller.runtime
    return replace(
        caller,
        runtime=runtime.used_by(runtime.tiers, principal),
        chain=(principal.id, *caller.chain),
        proof=proof,
        ends_us=ends_us,
    )


def _unavailable(error: UnavailableError) -> Reason:
    code = Code.ISSUER_UNAVAILABLE if error.code == "issuer_unavailable" else Code.STORE_UNAVAILABLE
    return Reason(
        code=code,
        message="Ringfence could not find out for whom this call is, so it was not made. Nothing "
        "was charged.",
        facts=(("cause", error.code),),
    )


_FIXED: Final = (
    "a run's user is decided when it is opened; send the proof with the agent token that opens it"
)
_NO_TOKEN: Final = "no such user token is in force"  # noqa: S105 (a sentence)
