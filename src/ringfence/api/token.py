"""Routes about agent tokens: made, shown once, rotated, revoked."""

import asyncio
from functools import partial
from typing import Literal

import msgspec

from ringfence.api.access import digest_of
from ringfence.api.context import ChangeNote, ControlContext
from ringfence.api.route import BUILDER, VIEWER, AnyRoute, Call, Nothing, Page, Paging, Route
from ringfence.domain.agent import AgentState
from ringfence.domain.caller import CallerTier
from ringfence.domain.credential import AGENT_TOKEN_PREFIX, AgentCredential
from ringfence.domain.error import UsageError
from ringfence.stores.state.agent import AgentRecord
from ringfence.stores.state.token import TokenRecord
from ringfence.transport import entropy

_LABEL_LIMIT = 200
_GRACE_LIMIT_S = 7 * 24 * 3600


class TokenOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new token is for, in the words of whoever makes it, and whose calls it marks.

    `tier` is how directly a person stands behind the calls; a rotation keeps that of the old token.
    """

    label: str = ""
    tier: Literal["interactive", "api", "background"] = "api"

    def __post_init__(self) -> None:
        """Raises ValueError, which msgspec reports as a wrong body."""
        if len(self.label) > _LABEL_LIMIT:
            raise ValueError(f"label must be at most {_LABEL_LIMIT} characters")


class RotationOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the old token stays good beside the new one, in seconds, at most a week."""

    label: str = ""
    grace_s: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError, which msgspec reports as a wrong body."""
        if len(self.label) > _LABEL_LIMIT:
            raise ValueError(f"label must be at most {_LABEL_LIMIT} characters")
        if not 0 <= self.grace_s <= _GRACE_LIMIT_S:
            raise ValueError(f"grace_s must be from 0 to {_GRACE_LIMIT_S}")


class TokenIssued(msgspec.Struct, frozen=True, kw_only=True):
    """A new token. This is the only time that it is shown."""

    id: str
    token: str
    agent: str


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A token without its secret. `revoked_us` may lie ahead: the end of a rotation's grace."""

    id: str
    label: str
    created_us: str
    created_by: str
    is_live: bool
    tier: CallerTier = CallerTier.API
    revoked_us: str | None = None
    replaces: str | None = None


async def list_tokens(call: Call[Paging, Nothing]) -> Page[TokenView]:
    """An agent's tokens in the order of their making."""
    agent = await _agent(call.context, call.organisation.id, call.path["name"])
    records = await asyncio.to_thread(
        partial(
            call.context.state.tokens.list,
            call.organisation.id,
            agent.id,
            after=call.query.after,
            limit=call.query.limit + 1,
        )
    )
    now_us = call.context.clock.now_us()
    shown = records[: call.query.limit]
    return Page(
        items=[view(record, now_us) for record in shown],
        next=shown[-1].credential.id if len(records) > len(shown) else None,
    )


async def issue(call: Call[Nothing, TokenOrder]) -> TokenIssued:
    """Make a token; it works on every worker when this returns."""
    token, record = await _prepare(call, call.body.label, CallerTier(call.body.tier))
    await call.context.record(_note(call, "token.issued", record.credential, {}))
    await asyncio.to_thread(call.context.state.tokens.add, record)
    await call.context.workers.credentials_changed([record.credential])
    return _issued(token, record)


async def rotate(call: Call[Nothing, RotationOrder]) -> TokenIssued:
    """Make a token in the place of another, which ends now or after a grace."""
    tier = await _tier(call)
    token, record = await _prepare(call, call.body.label, tier, replaces=call.path["id"])
    now_us = record.credential.created_us
    detail = {"replaces": call.path["id"], "grace_s": str(call.body.grace_s)}
    rotation = partial(
        call.context.state.tokens.rotate,
        record,
        now_us=now_us,
        revoke_us=now_us + call.body.grace_s * 1_000_000,
    )
    old = await asyncio.to_thread(rotation)
    # Recorded before any worker knows the new token, so before it can be used.
    await call.context.record(_note(call, "token.rotated", record.credential, detail))
    await call.context.workers.credentials_changed([record.credential, old])
    return _issued(token, record)


async def revoke(call: Call[Nothing, Nothing]) -> None:
    """End a token; no worker admits it any more when this returns."""
    agent = await _agent(call.context, call.organisation.id, call.path["name"])
    ended = await asyncio.to_thread(
        partial(
            call.context.state.tokens.revoke,
            call.organisation.id,
            agent.id,
            call.path["id"],
            now_us=call.context.clock.now_us(),
        )
    )
    # A record that cannot be written must not keep a token alive: it comes last.
    await call.context.workers.credentials_changed([ended])
    await call.context.record(_note(call, "token.revoked", ended, {}))


def view(record: TokenRecord, now_us: int) -> TokenView:
    """A token as people may see it."""
    credential = record.credential
    revoked_us = credential.revoked_us
    return TokenView(
        id=credential.id,
        label=record.label,
        created_us=str(credential.created_us),
        created_by=record.created_by,
        is_live=revoked_us is None or now_us < revoked_us,
        tier=credential.tier,
        revoked_us=None if revoked_us is None else str(revoked_us),
        replaces=record.replaces,
    )


async def _agent(context: ControlContext, organisation: str, name: str) -> AgentRecord:
    return await asyncio.to_thread(context.state.agents.named, organisation, name)


async def _tier(call: Call[Nothing, RotationOrder]) -> CallerTier:
    """The tier of the token that is put out of place. Raises UsageError `token_unknown`."""
    context, organisation = call.context, call.organisation.id
    agent = await _agent(context, organisation, call.path["name"])
    find = partial(context.state.tokens.get, organisation, agent.id, call.path["id"])
    return (await asyncio.to_thread(find)).tier


async def _prepare(
    call: Call[Nothing, TokenOrder] | Call[Nothing, RotationOrder],
    label: str,
    tier: CallerTier,
    replaces: str | None = None,
) -> tuple[str, TokenRecord]:
    agent = await _agent(call.context, call.organisation.id, call.path["name"])
    if agent.state is AgentState.RETIRED:
        raise UsageError("agent_state", f"agent `{agent.name}` is retired")
    token = entropy.secret(AGENT_TOKEN_PREFIX)
    credential = AgentCredential(
        id=call.context.ids.make("crd"),
        organisation=call.organisation.id,
        agent=agent.id,
        digest=digest_of(token),
        created_us=call.context.clock.now_us(),
        tier=tier,
    )
    record = TokenRecord(
        credential=credential, label=label, created_by=call.person.actor, replaces=replaces
    )
    return token, record


def _issued(token: str, record: TokenRecord) -> TokenIssued:
    return TokenIssued(id=record.credential.id, token=token, agent=record.credential.agent)


def _note(
    call: Call[Nothing, TokenOrder] | Call[Nothing, RotationOrder] | Call[Nothing, Nothing],
    what: str,
    credential: AgentCredential,
    detail: dict[str, str],
) -> ChangeNote:
    return ChangeNote(
        organisation=credential.organisation,
        actor=call.person.actor,
        what=what,
        subject=credential.id,
        detail={"agent": credential.agent, "tier": credential.tier.value, **detail},
    )


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/agents/{name}/tokens",
        summary="List an agent's tokens, without their secrets.",
        roles=VIEWER,
        query=Paging,
        body=Nothing,
        answer=Page[TokenView],
        handler=list_tokens,
    ),
    Route(
        method="POST",
        path="/agents/{name}/tokens",
        summary="Make a token for an agent; it is shown once.",
        roles=BUILDER,
        query=Nothing,
        body=TokenOrder,
        answer=TokenIssued,
        handler=issue,
    ),
    Route(
        method="POST",
        path="/agents/{name}/tokens/{id}/rotate",
        summary="Make a token in the place of another.",
        roles=BUILDER,
        query=Nothing,
        body=RotationOrder,
        answer=TokenIssued,
        handler=rotate,
    ),
    Route(
        method="DELETE",
        path="/agents/{name}/tokens/{id}",
        summary="Revoke a token.",
        roles=BUILDER,
        query=Nothing,
        body=Nothing,
        answer=None,
        handler=revoke,
    ),
)
