"""Routes about secrets: values go in, and never come out again."""

import msgspec

from ringfence.api.context import ChangeNote
from ringfence.api.route import ADMIN, BUILDER, AnyRoute, Call, Nothing, Page, Paging, Route
from ringfence.domain.error import UsageError
from ringfence.enforcement.secret_desk import SecretView


class SecretOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value to be stored. With `is_rotation` there must be one already.

    INVARIANT (I5): no repr shows it.
    """

    value: str
    is_rotation: bool = False

    def __repr__(self) -> str:
        """Never the value."""
        return "SecretOrder(…)"


class KeyRenewed(msgspec.Struct, frozen=True, kw_only=True):
    """How many secrets are encrypted with the fresh key, those of every organisation."""

    secrets: int


async def list_secrets(call: Call[Paging, Nothing]) -> Page[SecretView]:
    """Secrets by name, configured or stored; no values."""
    found = [
        each
        for each in await call.context.secrets.list(call.organisation)
        if each.name > call.query.after
    ]
    shown = found[: call.query.limit]
    return Page(items=shown, next=shown[-1].name if len(found) > len(shown) else None)


async def set_secret(call: Call[Nothing, SecretOrder]) -> SecretView:
    """Store a value, which every worker uses when this returns."""
    name, desk = call.path["name"], call.context.secrets
    order = call.body
    if not order.value:
        raise UsageError("secret_empty", f"the value of secret `{name}` is empty")
    await desk.judge(call.organisation, name, order.value, is_known=order.is_rotation)
    await call.context.record(_note(call, "secret.rotated" if order.is_rotation else "secret.set"))
    return await desk.set(call.organisation, name, order.value, actor=call.person.actor)


async def delete_secret(call: Call[Nothing, Nothing]) -> None:
    """Forget a stored value; no worker uses it when this returns."""
    await call.context.secrets.require(call.organisation, call.path["name"])
    await call.context.secrets.delete(call.organisation, call.path["name"])
    await call.context.record(_note(call, "secret.deleted"))


async def renew_key(call: Call[Nothing, Nothing]) -> KeyRenewed:
    """Encrypt all stored secrets with a fresh key; the one before is forgotten."""
    is_shared = len(call.context.configuration().organisations) > 1
    if is_shared and call.person.organisation is not None:
        raise UsageError(
            "local_only",
            "several organisations share this installation and its key",
            help="its operator does it with `ringfence secret rotate --key`",
        )
    count = await call.context.secrets.renew_key()
    for organisation in call.context.configuration().organisations.values():
        await call.context.record(
            ChangeNote(
                organisation=organisation.id,
                actor=call.person.actor,
                what="secret.key_renewed",
                subject=organisation.id,
            )
        )
    return KeyRenewed(secrets=count)


def _note(call: Call[Nothing, SecretOrder] | Call[Nothing, Nothing], what: str) -> ChangeNote:
    """By name alone."""
    return ChangeNote(
        organisation=call.organisation.id,
        actor=call.person.actor,
        what=what,
        subject=call.path["name"],
    )


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/secrets",
        summary="List secrets: where they come from, where they go, who uses them; no values.",
        roles=BUILDER,
        query=Paging,
        body=Nothing,
        answer=Page[SecretView],
        handler=list_secrets,
    ),
    Route(
        method="POST",
        path="/secrets/{name}",
        summary="Store the value of a secret, or another one in its place.",
        roles=ADMIN,
        query=Nothing,
        body=SecretOrder,
        answer=SecretView,
        handler=set_secret,
    ),
    Route(
        method="DELETE",
        path="/secrets/{name}",
        summary="Forget the stored value of a secret.",
        roles=ADMIN,
        query=Nothing,
        body=Nothing,
        answer=None,
        handler=delete_secret,
    ),
    Route(
        method="POST",
        path="/secret-key",
        summary="Encrypt all stored secrets with a fresh key.",
        roles=ADMIN,
        query=Nothing,
        body=Nothing,
        answer=KeyRenewed,
        handler=renew_key,
        is_installation=True,
    ),
)
