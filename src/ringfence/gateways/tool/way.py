"""A way to a server: the channel to it for one client, and how a page of a list is asked of it."""

import msgspec

from ringfence.gateways.tool.asking import Reply, ask
from ringfence.gateways.tool.channel import Channel, Sending
from ringfence.gateways.tool.server import ToolLink
from ringfence.protocols import strict_json
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import identity, message
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.version import Era


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """A server in reach, and the channel to it for this client."""

    link: ToolLink
    channel: Channel
    meta: dict[str, bytes] = {}
    """`_meta` for a modern server."""


async def page(way: Way, method: str, cursor: str) -> Reply:
    """One page of a server. Raises FailedError, and McpError if it answers with an error."""
    members = {"cursor": strict_json.encode(cursor)} if cursor else {}
    channel = way.channel
    number = channel.number()
    if channel.era is Era.MODERN:
        params = identity.params(way.meta or identity.OWN, members)
    else:
        params = b"{%b}" % b",".join(b'"%b":%b' % (k.encode(), v) for k, v in members.items())
    body = message.request(number, method, params)
    sending = Sending(body=body, number=number, method=method)
    reply = await ask(channel, sending, way.link.server.call_timeout_s)
    way.link.is_streaming = reply.how.is_stream and channel.era is Era.LEGACY
    return checked(reply)


def checked(reply: Reply) -> Reply:
    """An answer that is no error. Raises McpError."""
    if reply.error:
        fault = errors.read(reply.error)
        data = fault.data if bytes(fault.data) else None
        raise McpError(fault.code, fault.message, data, status=reply.status)
    return reply
