"""Routes about users: who they are, and the tokens that prove for whom an agent acts."""

import asyncio
from functools import partial

import msgspec

from ringfence.api.access import digest_of
from ringfence.api.context import ChangeNote
from ringfence.api.route import ADMIN, VIEWER, AnyRoute, Call, Nothing, Page, Paging, Route
from ringfence.decisions.access import granted
from ringfence.domain.credential import USER_TOKEN_PREFIX, AgentCredential
from ringfence.domain.error import UsageError
from ringfence.domain.organisation import Role, User
from ringfence.domain.user import NAME
from ringfence.stores.state.user import UserTokenRecord
from ringfence.transport import entropy

_LABEL_LIMIT = 200
_DAY_S = 24 * 3600
_DEFAULT_S = 30 * _DAY_S
_LONGEST_S = 366 * _DAY_S


class UserLine(msgspec.Struct, frozen=True, kw_only=True):
    """A user as the configuration names them. `models` and `tools` are null without a bound."""

    id: str
    name: str
    roles: list[Role]
    models: list[str] | None
    tools: list[str] | None
    calls_per_minute: int | None


class UserTokenOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user token is for, and how many seconds it lasts: thirty days, at most 366."""

    label: str = ""
    expires_s: int = _DEFAULT_S

    def __post_init__(self) -> None:
        """Raises ValueError, which msgspec reports as a wrong body."""
        if len(self.label) > _LABEL_LIMIT:
            raise ValueError(f"label must be at most {_LABEL_LIMIT} characters")
        if not 1 <= self.expires_s <= _LONGEST_S:
            raise ValueError(f"expires_s must be from 1 to {_LONGEST_S}")


class UserTokenIssued(msgspec.Struct, frozen=True, kw_only=True):
    """A new user token. This is the only time that it is shown."""

    id: str
    token: str
    user: str
    ends_us: str


class UserTokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A user token without its secret; `ends_us` is when it expires, or when it was ended."""

    id: str
    label: str
    created_us: str
    created_by: str
    is_live: bool
    ends_us: str


async def list_users(call: Call[Paging, Nothing]) -> Page[UserLine]:
    """The users of the configuration by name."""
    users = call.organisation.users
    rest = sorted(name for name in users if name > call.query.after)
    shown = rest[: call.query.limit]
    return Page(
        items=[_line(users[name]) for name in shown],
        next=shown[-1] if len(rest) > len(shown) else None,
    )


async def list_tokens(call: Call[Paging, Nothing]) -> Page[UserTokenView]:
    """A user's tokens in the order of their making."""
    user = await _user_id(call)
    read = partial(call.context.state.users.tokens, call.organisation.id, user)
    query = call.query
    records = await asyncio.to_thread(partial(read, after=query.after, limit=query.limit + 1))
    now_us = call.context.clock.now_us()
    shown = records[: query.limit]
    return Page(
        items=[_view(record, now_us) for record in shown],
        next=shown[-1].credential.id if len(records) > len(shown) else None,
    )


async def issue(call: Call[Nothing, UserTokenOrder]) -> UserTokenIssued:
    """Make a token; agents that show it act for the user, on every worker, when this returns."""
    context, organisation = call.context, call.organisation
    name = call.path["name"]
    user = await _user_id(call, is_new=True)
    token = entropy.secret(USER_TOKEN_PREFIX)
    now_us = context.clock.now_us()
    ends_us = now_us + call.body.expires_s * 1_000_000
    credential = AgentCredential(
        id=context.ids.make("crd"),
        organisation=organisation.id,
        agent="",
        user=user,
        digest=digest_of(token),
        created_us=now_us,
        revoked_us=ends_us,
    )
    # What gives power is recorded before it is given.
    await context.record(_note(call.person.actor, "user_token.issued", credential))
    record = UserTokenRecord(
        credential=credential, label=call.body.label, created_by=call.person.actor
    )
    await asyncio.to_thread(context.state.users.add_token, record)
    await context.workers.credentials_changed([credential])
    return UserTokenIssued(id=credential.id, token=token, user=name, ends_us=str(ends_us))


async def revoke(call: Call[Nothing, Nothing]) -> None:
    """End a token, and every run that lives by it, on every worker when this returns."""
    context, organisation = call.context, call.organisation.id
    user, now_us = await _user_id(call), context.clock.now_us()
    end = partial(context.state.users.revoke_token, organisation, user, call.path["id"])
    ended = await asyncio.to_thread(partial(end, now_us=now_us))
    # A record that cannot be written must not keep a token alive: it comes last.
    await context.workers.credentials_changed([ended])
    await context.record(_note(call.person.actor, "user_token.revoked", ended))


async def _user_id(
    call: Call[Paging, Nothing] | Call[Nothing, Nothing] | Call[Nothing, UserTokenOrder],
    *,
    is_new: bool = False,
) -> str:
    """The id of the user in the path; `is_new` gives one to somebody whom no file names.

    Raises UsageError `user_unknown`: for whom no agent may act, there is no token.
    """
    organisation, name = call.organisation, call.path["name"]
    named = organisation.users.get(name)
    if named is not None:
        return named.id
    context = call.context
    if is_new and organisation.default_user is not None and NAME.fullmatch(name):
        make = partial(
            context.state.users.identify,
            organisation.id,
            name,
            now_us=context.clock.now_us(),
            make_id=context.ids.make,
        )
        return await asyncio.to_thread(make)
    names = {} if is_new else await asyncio.to_thread(context.state.users.names, organisation.id)
    for known, each in names.items():
        if each == name:
            return known
    raise UsageError(
        "user_unknown",
        f"no user named `{name}`",
        help="add them to the configuration under `users`, or set `default_user`, and reload",
    )


def _line(user: User) -> UserLine:
    return UserLine(
        id=user.id,
        name=user.name,
        roles=sorted(granted(user.roles)),
        models=None if user.models is None else sorted(user.models),
        tools=None if user.tools is None else list(user.tools),
        calls_per_minute=user.calls_per_minute,
    )


def _view(record: UserTokenRecord, now_us: int) -> UserTokenView:
    credential = record.credential
    ends_us = credential.revoked_us or 0
    return UserTokenView(
        id=credential.id,
        label=record.label,
        created_us=str(credential.created_us),
        created_by=record.created_by,
        is_live=now_us < ends_us,
        ends_us=str(ends_us),
    )


def _note(actor: str, what: str, credential: AgentCredential) -> ChangeNote:
    return ChangeNote(
        organisation=credential.organisation,
        actor=actor,
        what=what,
        subject=credential.id,
        detail={"user": credential.user, "ends_us": str(credential.revoked_us)},
    )


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/users",
        summary="List the users of the configuration: roles, and what agents may do for them.",
        roles=VIEWER,
        query=Paging,
        body=Nothing,
        answer=Page[UserLine],
        handler=list_users,
    ),
    Route(
        method="GET",
        path="/users/{name}/tokens",
        summary="List a user's tokens, without their secrets.",
        roles=ADMIN,
        is_open_to_subject=True,
        query=Paging,
        body=Nothing,
        answer=Page[UserTokenView],
        handler=list_tokens,
    ),
    Route(
        method="POST",
        path="/users/{name}/tokens",
        summary="Make a token with which agents act for a user; it is shown once.",
        roles=ADMIN,
        is_open_to_subject=True,
        query=Nothing,
        body=UserTokenOrder,
        answer=UserTokenIssued,
        handler=issue,
    ),
    Route(
        method="DELETE",
        path="/users/{name}/tokens/{id}",
        summary="Revoke a user token, and end what runs by it.",
        roles=ADMIN,
        is_open_to_subject=True,
        query=Nothing,
        body=Nothing,
        answer=None,
        handler=revoke,
    ),
)
