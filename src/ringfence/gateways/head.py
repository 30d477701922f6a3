"""What the data plane reads of a request's head, once for all requests that repeat it.

Nothing here decides: whether a credential still holds is asked for every request anew.
"""

from typing import Final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.domain.verdict import Code
from ringfence.enforcement.directory import digest_of
from ringfence.gateways.answer import client_of
from ringfence.protocols import headers as passing
from ringfence.transport.http import Request

_PREFIX: Final = b"/invocation/"
"""`/invocation/ID/v1/…` says what the header `Ringfence-Invocation: ID` says, for clients that can
only be given a base URL."""

Hints = tuple[tuple[str, str], ...]
"""Ids by which a request names its run: pairs of source and id."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """One head as governance reads it."""

    path: bytes
    """Without an invocation prefix."""
    hints: Hints
    client: str
    """The user agent, cut short."""
    acts_for_user: bool
    """Whether it brings a proof of a user."""
    within: str = ""
    """Of a question of the plane's own: the invocation in which it is asked. No request says it."""


def digest(request: Request) -> bytes | None:
    """The hash of its one credential; None if it has none.

    Raises PeerError as `headers.credential`.
    """
    memo = request.memo
    known = None if memo is None else memo.get("digest")
    if isinstance(known, bytes):
        return known
    token = passing.credential(request.headers)
    if not token:
        return None
    made = digest_of(token.encode("latin-1"))
    if memo is not None:
        memo["digest"] = made
    return made


def read(request: Request) -> Head:
    """Everything else. Raises PeerError `request_malformed`."""
    memo = request.memo
    known = None if memo is None else memo.get("head")
    if isinstance(known, Head):
        return known
    seen = passing.check(request.headers)
    path, hints = _hints(request)
    head = Head(
        path=path,
        hints=hints,
        client=client_of(request.headers),
        acts_for_user=passing.ON_BEHALF_OF in seen,
    )
    if memo is not None:
        memo["head"] = head
    return head


def named(path: bytes) -> tuple[bytes, bytes]:
    """The invocation that a path names, empty if none, and the path without it."""
    if not path.startswith(_PREFIX):
        return b"", path
    name, slash, rest = path[len(_PREFIX) :].partition(b"/")
    return name, slash + rest


def _hints(request: Request) -> tuple[bytes, Hints]:
    hints = passing.client_ids(request.headers)
    if not request.path.startswith(_PREFIX):
        return request.path, hints
    name, rest = named(request.path)
    if not rest or not passing.is_id(name):
        raise PeerError(Code.REQUEST_MALFORMED, "the path's invocation is not an id")
    if request.header(b"ringfence-invocation") not in {None, name}:
        message = "path and header name different invocations"
        raise PeerError(Code.REQUEST_MALFORMED, message)
    return rest, (("ringfence-invocation", name.decode()), *hints)
