"""A legacy server's question, given to its modern client as a result of its call."""

from ringfence.gateways.tool import said
from ringfence.gateways.tool.ask import Ask, Means, owner_of
from ringfence.gateways.tool.channel import Channel, Pending
from ringfence.gateways.tool.rounds import Suspended, Switch
from ringfence.protocols.mcp import translation
from ringfence.protocols.mcp.message import Envelope


def suspended(  # noqa: PLR0913, PLR0917 (a suspended call has these parts)
    means: Means, ask: Ask, channel: Channel, pending: Pending, switch: Switch, question: Envelope
) -> bytes:
    """Leave the server waiting; gives the result that asks its question.

    Only who gets the result can go on with the call, and only for the same request.
    """
    name = means.secret(f"{means.number}.")
    owner = owner_of(ask)
    key = question.method.partition("/")[0]
    waits = Suspended(
        channel=channel,
        pending=pending,
        switch=switch,
        number=bytes(question.id),
        key=key,
        owner=owner,
    )
    means.waiting.add(name, waits)
    expires_us = means.clock.now_us() + said.SUSPENDED_US
    state = means.sealer.seal(name.encode(), "\n".join(owner).encode(), expires_us, means.nonce())
    return translation.asking(key, question.method, bytes(question.params), state)
