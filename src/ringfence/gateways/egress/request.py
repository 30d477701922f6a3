"""One request as it comes out of a sandbox: where it goes, and what is asked of the path.

What a client repeats on its connection is read once: header lines, a whole head, a request without
a body. Whether it may go is asked for each.
"""

from typing import Final

import msgspec

from ringfence.decisions import destination as rule
from ringfence.decisions import reason
from ringfence.decisions.injection import second_path
from ringfence.domain.agent import Agent
from ringfence.domain.destination import Authority, Destination, Way
from ringfence.domain.error import PeerError
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.http_call import HttpKnock
from ringfence.gateways.answer import client_of
from ringfence.gateways.egress.place import Arrival, Place
from ringfence.protocols.forwarding import override, override_in
from ringfence.protocols.host_name import read_authority
from ringfence.protocols.request_path import read_path
from ringfence.transport.http import LINES, Origin, Request

_SCHEME: Final = len(b"http://")
_READ: Final = "read"
_KNOCK: Final = "knock"
_GOING: Final = "going"
"""Places in what a connection remembers of a request (`transport.http.Request.memo`)."""
_REFUSED_METHODS: Final = frozenset({b"TRACE", b"TRACK", b"PRI"})


class Lines(msgspec.Struct, frozen=True, kw_only=True):
    """The header lines of a request as egress reads them."""

    override: str
    """A header that would make another request of it; empty if none does."""
    second_path: str
    """A header that names one more path of the host; likewise."""
    host: Authority | None
    client: str
    """The user agent, cut short."""
    text: bytes
    """All of them, as placeholders are looked for."""


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose destination is decided; `path` is raw, and what the upstream is sent."""

    destination: Destination
    origin: Origin
    path: bytes
    path_text: str
    doubt: str
    target: bytes
    """Path and query as they are sent on."""
    lines: Lines


def read_request(place: Place, arrival: Arrival, request: Request) -> Read | Reason:
    """Decide where a request goes, from everything that says so; or why nobody can."""
    memo = request.memo
    known = None if memo is None else memo.get(_READ)
    if isinstance(known, Read):
        return known
    read = _read(place, arrival, request)
    if memo is not None and isinstance(read, Read):
        memo[_READ] = read
    return read


def _read(place: Place, arrival: Arrival, request: Request) -> Read | Reason:
    agent = place.box.caller.runtime.agent
    method = request.method
    if method in _REFUSED_METHODS:
        return reason.not_forwarded(agent, f"{method.decode('latin-1')} is never passed on")
    try:
        raw, named = _parted(arrival, request.path)
        lines = _lines(request)
        other = lines.override or (override_in(request.query) if request.query else "")
        if other:
            return another(agent, other)
        target = None if named is None else read_authority(named)
        path = read_path(raw)
    except PeerError as error:
        message = f"Ringfence refused this request: {error.message}."
        return Reason(code=Code(error.code), message=message)
    found = _going(agent, arrival, lines, target, shared_memo(request))
    if isinstance(found, Reason):
        return found
    return Read(
        destination=found.destination,
        origin=found.origin,
        path=raw,
        path_text=path.text,
        doubt=path.doubt,
        target=raw + b"?" + request.query if request.query else raw,
        lines=lines,
    )


def another(agent: Agent, name: str) -> Reason:
    """Why a request is refused that a server would take for another, because of that name."""
    return reason.not_forwarded(agent, f"with `{name}` a request is another than it says")


def shared_memo(request: Request) -> dict[object, object] | None:
    """Where everything is kept that requests with these header lines have in common."""
    memo = request.memo
    shared = None if memo is None else memo.get(LINES)
    return shared if isinstance(shared, dict) else None


class _Going(msgspec.Struct, frozen=True):
    """Where every request goes that has these lines, and comes on this connection."""

    destination: Destination
    origin: Origin


def _going(
    agent: Agent,
    arrival: Arrival,
    lines: Lines,
    target: Authority | None,
    shared: dict[object, object] | None,
) -> _Going | Reason:
    """Decide from all that names a destination; `target` is that of an absolute form."""
    known = None if shared is None or target is not None else shared.get(_GOING)
    if isinstance(known, _Going):
        return known
    evidence = rule.Evidence(
        way=arrival.way,
        scheme=arrival.scheme,
        tunnel=arrival.tunnel,
        server_name=arrival.server_name,
        target=target,
        host=lines.host,
        dialled=arrival.dialled,
        promised=arrival.promised,
    )
    to = rule.decide(agent, evidence)
    if isinstance(to, Reason):
        return to
    going = _Going(to, Origin(scheme=to.scheme, host=to.host, port=to.port))
    if shared is not None and target is None:
        shared[_GOING] = going
    return going


def _lines(request: Request) -> Lines:
    """Read the header lines; once for all requests that repeat them. Raises PeerError."""
    shared = shared_memo(request)
    known = None if shared is None else shared.get(_READ)
    if isinstance(known, Lines):
        return known
    headers = request.headers
    other = override(headers)
    host = None if other else request.header(b"host")
    lines = Lines(
        override=other,
        second_path=second_path(headers),
        host=None if host is None else read_authority(host),
        client=client_of(headers),
        text=b"\n".join([b"%b: %b" % pair for pair in headers]),
    )
    if shared is not None:
        shared[_READ] = lines
    return lines


def _parted(arrival: Arrival, target: bytes) -> tuple[bytes, bytes | None]:
    """The path, and the authority in front of it in the absolute form."""
    if arrival.way is not Way.ABSOLUTE:
        return target, None
    authority, slash, path = target[_SCHEME:].partition(b"/")
    return slash + path or b"/", authority


def knock_of(
    place: Place, read: Read, request: Request, body: bytes, length: int | None
) -> HttpKnock:
    """What is asked of the path. `body` is its beginning; all of it if `length` is as much."""
    caller, kept_bytes, memo = place.box.caller, place.rules.kept_bytes, request.memo
    if memo is None or body or length != 0:
        return _knock(place, read, request, body, length)
    known = memo.get(_KNOCK)
    if isinstance(known, HttpKnock) and known.caller is caller and known.kept_bytes == kept_bytes:
        return known
    knock = memo[_KNOCK] = _knock(place, read, request, body, length)
    return knock


def _knock(
    place: Place, read: Read, request: Request, body: bytes, length: int | None
) -> HttpKnock:
    box, to = place.box, read.destination
    misplaced = ""
    if place.watches and place.placeholders is not None:
        text = b"\n".join((read.path, request.query, read.lines.text, body))
        misplaced = place.placeholders.misplaced(text, to.host, to.port) or ""
        coding = request.header(b"content-encoding") if body and not misplaced else None
        if coding:
            watch = place.placeholders.watch(to.host, to.port, coding)
            misplaced = watch.finds(body) or ""
    return HttpKnock(
        caller=box.caller,
        client=read.lines.client,
        destination=to,
        method=request.method.decode("latin-1"),
        path=read.path,
        path_text=read.path_text,
        query=request.query,
        doubt=read.doubt,
        body=body,
        is_whole=length == len(body),
        body_bytes=length,
        sandbox=box.id,
        is_tunnel=request.header(b"upgrade") is not None,
        misplaced=misplaced,
        second_path=read.lines.second_path,
        kept_bytes=place.rules.kept_bytes,
    )


def shown(arrival: Arrival, request: Request) -> tuple[str, str]:
    """What a request seemed to want, for the record of its refusal: resource and target."""
    host = arrival.tunnel or arrival.server_name
    named = host.host if host is not None else _host_line(request)
    target = request.path.decode("latin-1")
    if target.startswith("/") and named:
        target = f"{arrival.scheme}://{named}{target}"
    return named[:200], target[:2048]  # else it names its host itself, or nothing of one


def _host_line(request: Request) -> str:
    lines = [value for name, value in request.headers if name == b"host"]
    return lines[0].decode("latin-1") if lines else "?"
