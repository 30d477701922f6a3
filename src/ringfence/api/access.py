"""Who is calling the control plane, and whether this route is open to them (docs/access.md)."""

import asyncio
import hashlib
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Scope

from ringfence.api.context import ChangeNote, ControlContext
from ringfence.decisions import access
from ringfence.domain.credential import (
    AGENT_TOKEN_PREFIX,
    API_KEY_PREFIX,
    INVOCATION_TOKEN_PREFIX,
    USER_TOKEN_PREFIX,
    AgentCredential,
)
from ringfence.domain.error import UsageError
from ringfence.domain.organisation import Organisation, Role, User

LISTENER = "ringfence.listener"
"""Key of the ASGI scope under which a listener says what it is; without it nobody gets in."""


@dataclass(frozen=True, slots=True)
class LocalListener:
    """The Unix socket, or the same process. `uid` is None where the system cannot tell it."""

    uid: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkListener:
    """A TCP port. `authorities` are the `Host` values it answers to, such as `localhost:8485`."""

    authorities: frozenset[str]
    scheme: str = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody with a credential.

    `organisation` is an id; None means the operator: all of them. `user` is the name of a keyholder
    within it.
    """

    actor: str
    roles: frozenset[Role]
    organisation: str | None = None
    user: str | None = None


async def identify(context: ControlContext, scope: Scope) -> Person:
    """The person behind a request.

    Raises UsageError `listener_unknown`, `host_refused`, `origin_refused`, `credential_*` or
    `agent_credential`.
    """
    listener = scope.get(LISTENER)
    headers = Headers(scope=scope)
    if isinstance(listener, LocalListener):
        check_origin(headers, frozenset())
        actor = "cli" if listener.uid is None else f"cli:uid={listener.uid}"
        return Person(actor=actor, roles=frozenset({Role.ADMIN}))
    if not isinstance(listener, NetworkListener):
        raise UsageError("listener_unknown", "this request came through no listener of the plane")
    check_host(headers, listener, scope)
    check_origin(headers, {f"{listener.scheme}://{each}" for each in listener.authorities})
    return await _keyholder(context, _bearer(headers))


def check_host(headers: Headers, listener: NetworkListener, scope: Scope) -> None:
    """Refuse a foreign name that was made to point here. Raises UsageError `host_refused`."""
    values = headers.getlist("host")
    if len(values) != 1 or values[0].lower() not in listener.authorities | {_own_address(scope)}:
        raise UsageError(
            "host_refused",
            "this host name is not one of the plane's",
            help="use a loopback address, or start the plane with this name as its console host",
        )


def check_origin(headers: Headers, ours: set[str] | frozenset[str]) -> None:
    """Refuse requests made by foreign web pages. Raises UsageError `origin_refused`."""
    if any(value.lower() not in ours for value in headers.getlist("origin")):
        raise UsageError("origin_refused", "requests from other origins are refused")


def require(person: Person, needed: frozenset[Role]) -> None:
    """Raises UsageError `role_missing` if none of the person's roles opens the route."""
    if not access.allows(person.roles, needed):
        names = " or ".join(f"`{role}`" for role in sorted(needed))
        raise UsageError(
            "role_missing",
            f"this needs the role {names}",
            help="ask an administrator of your organisation",
        )


def choose(context: ControlContext, person: Person, asked: str | None) -> Organisation:
    """The organisation a request is about.

    Raises UsageError `organisation_needed` or `organisation_unknown`; the latter is the same for
    one that does not exist and for one that is not the person's own (I7).
    """
    visible = {
        name: each
        for name, each in context.configuration().organisations.items()
        if person.organisation in {None, each.id}
    }
    if asked is None and len(visible) == 1:
        return next(iter(visible.values()))
    if asked is None and visible:
        raise UsageError(
            "organisation_needed",
            "there are several organisations",
            help=f"name one of {', '.join(sorted(visible))}",
        )
    if asked is None or asked not in visible:
        raise UsageError(
            "organisation_unknown",
            f"no organisation named `{asked or ''}`",
            help=f"yours: {', '.join(sorted(visible))}" if visible else "",
        )
    return visible[asked]


def sees_whole(context: ControlContext, person: Person) -> bool:
    """Whether figures of the whole installation are this person's to see (I7)."""
    return person.organisation is None or len(context.configuration().organisations) == 1


def digest_of(token: str) -> bytes:
    """How a token is kept and looked up."""
    return hashlib.sha256(token.encode("latin-1", "replace")).digest()


def _own_address(scope: Scope) -> str:
    """The address this connection was made to: safe, for no name had to be resolved."""
    host, port = scope.get("server") or ("", None)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bearer(headers: Headers) -> str:
    values = headers.getlist("authorization")
    if len(values) > 1:
        raise UsageError("credential_ambiguous", "there are several Authorization headers")
    scheme, _, token = (values or [""])[0].partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise UsageError(
            "credential_missing",
            "this needs an API key",
            help=f"send it as `Authorization: Bearer {API_KEY_PREFIX}…`; "
            "an administrator makes one with POST /api/v1/keys",
        )
    return token.strip()


async def _keyholder(context: ControlContext, token: str) -> Person:
    if token.startswith((AGENT_TOKEN_PREFIX, INVOCATION_TOKEN_PREFIX, USER_TOKEN_PREFIX)):
        await _refuse_agent(context, token)
    key = await asyncio.to_thread(context.state.keys.find, digest_of(token))
    found = None if key is None else _user(context, key.organisation, key.user)
    if key is None or found is None or key.revoked_us is not None:
        raise UsageError("credential_unknown", "this API key is not valid (any more)")
    return Person(
        actor=f"user:{key.user}",
        roles=access.held(key.roles, found.roles),
        organisation=key.organisation,
        user=found.name,
    )


def _user(context: ControlContext, organisation: str, user: str) -> User | None:
    """The user as the configuration has them now: a key ends with its user."""
    for each in context.configuration().organisations.values():
        if each.id == organisation:
            return next((found for found in each.users.values() if found.id == user), None)
    return None


async def _refuse_agent(context: ControlContext, token: str) -> None:
    credential = await asyncio.to_thread(context.state.tokens.find, digest_of(token))
    attempts = None
    if credential is not None:
        attempts = context.refused.count(credential.id, context.clock.now_us())
    if credential is not None and attempts is not None:
        await context.record(_refusal(credential, attempts))
    raise UsageError(
        "agent_credential",
        "agents have no access to the control plane",
        help="an agent's token is for the data plane only",
    )


def _refusal(credential: AgentCredential, attempts: int) -> ChangeNote:
    return ChangeNote(
        organisation=credential.organisation,
        actor=f"agent:{credential.agent}",
        what="control.refused",
        subject=credential.id,
        detail={"code": "agent_credential", "attempts": str(attempts)},
    )
