"""Routes about API keys: what people and programs use the control plane with over TCP."""

import asyncio
from functools import partial

import msgspec

from ringfence.api.access import digest_of
from ringfence.api.context import ChangeNote
from ringfence.api.route import ADMIN, AnyRoute, Call, Nothing, Page, Paging, Route
from ringfence.decisions import access
from ringfence.domain.credential import API_KEY_PREFIX, ApiKey
from ringfence.domain.error import UsageError
from ringfence.domain.organisation import Role, User
from ringfence.stores.state.key import KeyRecord
from ringfence.transport import entropy

_LABEL_LIMIT = 200


class KeyOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose key it is, and which of the user's roles it carries; without `roles`, all of them."""

    user: str
    roles: list[Role] = []
    label: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError, which msgspec reports as a wrong body."""
        if len(self.label) > _LABEL_LIMIT:
            raise ValueError(f"label must be at most {_LABEL_LIMIT} characters")


class KeyIssued(msgspec.Struct, frozen=True, kw_only=True):
    """A new key. This is the only time that it is shown."""

    id: str
    key: str
    user: str
    roles: list[Role]


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret. It is worth no more than its user's present roles."""

    id: str
    user: str
    roles: list[Role]
    label: str
    created_us: str
    created_by: str
    revoked_us: str | None = None


async def list_keys(call: Call[Paging, Nothing]) -> Page[KeyView]:
    """Keys in the order of their making."""
    records = await asyncio.to_thread(
        partial(
            call.context.state.keys.list,
            call.organisation.id,
            after=call.query.after,
            limit=call.query.limit + 1,
        )
    )
    names = {user.id: name for name, user in call.organisation.users.items()}
    shown = records[: call.query.limit]
    return Page(
        items=[_view(record, names.get(record.key.user, record.key.user)) for record in shown],
        next=shown[-1].key.id if len(records) > len(shown) else None,
    )


async def issue(call: Call[Nothing, KeyOrder]) -> KeyIssued:
    """Make a key for a user of the organisation."""
    user = call.organisation.users.get(call.body.user)
    if user is None:
        raise UsageError(
            "user_unknown",
            f"no user named `{call.body.user}`",
            help="add them to the configuration under `users` and reload",
        )
    roles = _roles(user, call.body.roles)
    secret = entropy.secret(API_KEY_PREFIX)
    key = ApiKey(
        id=call.context.ids.make("key"),
        organisation=call.organisation.id,
        user=user.id,
        digest=digest_of(secret),
        roles=roles,
        created_us=call.context.clock.now_us(),
    )
    # What gives power is recorded before it is given.
    await call.context.record(_note(call.person.actor, "key.issued", key))
    record = KeyRecord(key=key, label=call.body.label, created_by=call.person.actor)
    await asyncio.to_thread(call.context.state.keys.add, record)
    return KeyIssued(id=key.id, key=secret, user=user.name, roles=sorted(roles))


async def revoke(call: Call[Nothing, Nothing]) -> None:
    """End a key now."""
    key = await asyncio.to_thread(
        partial(
            call.context.state.keys.revoke,
            call.organisation.id,
            call.path["id"],
            now_us=call.context.clock.now_us(),
        )
    )
    await call.context.record(_note(call.person.actor, "key.revoked", key))


def _roles(user: User, asked: list[Role]) -> frozenset[Role]:
    roles = frozenset(asked) or user.roles
    if not roles:
        raise UsageError("key_roles", f"user `{user.name}` has no role", help="give them one first")
    beyond = roles - access.granted(user.roles)
    if beyond:
        names = ", ".join(f"`{role}`" for role in sorted(beyond))
        raise UsageError("key_roles", f"user `{user.name}` does not have {names}")
    return roles


def _view(record: KeyRecord, user: str) -> KeyView:
    key = record.key
    return KeyView(
        id=key.id,
        user=user,
        roles=sorted(key.roles),
        label=record.label,
        created_us=str(key.created_us),
        created_by=record.created_by,
        revoked_us=None if key.revoked_us is None else str(key.revoked_us),
    )


def _note(actor: str, what: str, key: ApiKey) -> ChangeNote:
    return ChangeNote(
        organisation=key.organisation,
        actor=actor,
        what=what,
        subject=key.id,
        detail={"user": key.user, "roles": " ".join(sorted(key.roles))},
    )


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/keys",
        summary="List API keys, without their secrets.",
        roles=ADMIN,
        query=Paging,
        body=Nothing,
        answer=Page[KeyView],
        handler=list_keys,
    ),
    Route(
        method="POST",
        path="/keys",
        summary="Make an API key for a user; it is shown once.",
        roles=ADMIN,
        query=Nothing,
        body=KeyOrder,
        answer=KeyIssued,
        handler=issue,
    ),
    Route(
        method="DELETE",
        path="/keys/{id}",
        summary="Revoke an API key.",
        roles=ADMIN,
        query=Nothing,
        body=Nothing,
        answer=None,
        handler=revoke,
    ),
)
