"""Commands and requests that an agent tells of at the actions API, as their paths take them."""

from typing import Final
from urllib.parse import urlsplit

import msgspec

from ringfence.domain.destination import DEFAULT_PORTS, Destination
from ringfence.domain.error import PeerError
from ringfence.domain.verdict import Code
from ringfence.enforcement.command_words import arguments_of
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.http_call import HttpKnock
from ringfence.enforcement.shell_call import ExecKnock
from ringfence.gateways.action_form import ActionOrder, CommandOrder, RequestOrder
from ringfence.gateways.answer import client_of
from ringfence.gateways.head import Head
from ringfence.protocols.host_name import read_authority
from ringfence.protocols.request_path import read_path
from ringfence.transport.http import Request

_ASCII: Final = 0x7F


def exec_knock(
    caller: Caller, request: Request, head: Head, order: ActionOrder, command: CommandOrder
) -> ExecKnock:
    """A command by its words."""
    path, argv = command.argv[0], tuple(command.argv)
    return ExecKnock(
        caller=caller,
        path=path,
        arguments=arguments_of(path, argv, command.directory),
        hints=head.hints,
        client=client_of(request.headers),
        call_id=order.call_id,
    )


def http_knock(caller: Caller, request: Request, head: Head, asked: RequestOrder) -> HttpKnock:
    """A request by its URL. Raises PeerError `request_malformed` for what two could read as two."""
    if any(ord(each) <= ord(" ") or ord(each) >= _ASCII for each in asked.url):
        raise _malformed("it is not plain ASCII")
    if "\\" in asked.url or "#" in asked.url:
        raise _malformed("it holds a backslash or a fragment")
    try:
        parts = urlsplit(asked.url)
    except ValueError as error:
        raise _malformed("it is no URL") from error
    if parts.scheme not in DEFAULT_PORTS or "@" in parts.netloc:
        raise _malformed("it is not http or https, or it names a user")
    named = read_authority(parts.netloc)
    path = parts.path.encode() or b"/"
    read = read_path(path)
    return HttpKnock(
        caller=caller,
        destination=Destination(
            scheme=parts.scheme,
            host=named.host,
            port=named.port or DEFAULT_PORTS[parts.scheme],
            is_address=named.is_address,
        ),
        method=asked.method,
        path=path,
        path_text=read.text,
        doubt=read.doubt,
        query=parts.query.encode(),
        hints=head.hints,
        client=client_of(request.headers),
    )


def told(asked: RequestOrder) -> bytes:
    """What was allowed, as JSON."""
    return msgspec.json.encode(asked)


def _malformed(why: str) -> PeerError:
    return PeerError(Code.REQUEST_MALFORMED, f"the URL of this request cannot be judged: {why}")
