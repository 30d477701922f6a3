"""One request as it comes out of a sandbox: where it goes, and what is asked of the path."""

from typing import Final

import msgspec

from ringfence.decisions import destination as rule
from ringfence.decisions import reason
from ringfence.domain.destination import Destination, Way
from ringfence.domain.error import PeerError
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.http_call import HttpKnock
from ringfence.gateways.answer import client_of
from ringfence.gateways.egress.place import Channel, Place
from ringfence.protocols.forwarding import override
from ringfence.protocols.host_name import read_authority
from ringfence.protocols.request_path import read_path
from ringfence.transport.http import Request

_SCHEME: Final = len(b"http://")
_REFUSED_METHODS: Final = frozenset({b"TRACE", b"TRACK", b"PRI"})


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose destination is decided; `path` is raw, and what the upstream is sent."""

    destination: Destination
    path: bytes
    path_text: str
    doubt: str

    def target(self, query: bytes) -> bytes:
        """Path and query as they are sent on."""
        return self.path + b"?" + query if query else self.path


def read_request(place: Place, channel: Channel, request: Request) -> Read | Reason:
    """Decide where a request goes, from everything that says so; or why nobody can."""
    agent = place.box.caller.runtime.agent
    method = request.method
    if method in _REFUSED_METHODS:
        return reason.not_forwarded(agent, f"{method.decode('latin-1')} is never passed on")
    other = override(request.headers)
    if other:
        return reason.not_forwarded(agent, f"with `{other}` a request is another than it says")
    try:
        raw, named = _parted(channel, request.path)
        host = request.header(b"host")
        evidence = rule.Evidence(
            way=channel.way,
            scheme=channel.scheme,
            tunnel=channel.tunnel,
            server_name=channel.server_name,
            target=None if named is None else read_authority(named),
            host=None if host is None else read_authority(host),
            dialled=channel.dialled,
            promised=channel.promised,
        )
        path = read_path(raw)
    except PeerError as error:
        message = f"Ringfence refused this request: {error.message}."
        return Reason(code=Code(error.code), message=message)
    found = rule.decide(agent, evidence)
    if isinstance(found, Reason):
        return found
    return Read(destination=found, path=raw, path_text=path.text, doubt=path.doubt)


def _parted(channel: Channel, target: bytes) -> tuple[bytes, bytes | None]:
    """The path, and the authority in front of it in the absolute form."""
    if channel.way is not Way.ABSOLUTE:
        return target, None
    authority, slash, path = target[_SCHEME:].partition(b"/")
    return slash + path or b"/", authority


def knock_of(
    place: Place, read: Read, request: Request, body: bytes, length: int | None
) -> HttpKnock:
    """What is asked of the path. `body` is its beginning; all of it if `length` is as much."""
    box, to = place.box, read.destination
    misplaced = ""
    if place.watches and place.placeholders is not None:
        said = b"\n".join([b"%b: %b" % pair for pair in request.headers])
        text = b"\n".join((read.path, request.query, said, body))
        misplaced = place.placeholders.misplaced(text, to.host, to.port) or ""
    return HttpKnock(
        caller=box.caller,
        client=client_of(request.headers),
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
        kept_bytes=place.rules.kept_bytes,
    )


def shown(place_of: Channel, request: Request) -> tuple[str, str]:
    """What a request seemed to want, for the record of its refusal: resource and target."""
    host = place_of.tunnel or place_of.server_name
    named = host.host if host is not None else _host_line(request)
    target = request.path.decode("latin-1")
    return named[:200], target[:2048] if "://" in target else f"{place_of.scheme}://{named}{target}"


def _host_line(request: Request) -> str:
    lines = [value for name, value in request.headers if name == b"host"]
    return lines[0].decode("latin-1") if lines else "?"
