"""What one call shows of the run to which it belongs."""

import msgspec

from ringfence.domain.invocation import Grouping

External = tuple[Grouping, str]
"""An id that somebody else gave the run, and how it was told."""


class Clues(msgspec.Struct, frozen=True, kw_only=True):
    """What one call shows; empty where it shows nothing.

    `invocation` comes from the credential, all else from the request. `client` joins every id by
    which a known client names its run. `messages` is the conversation so far, as raw JSON; `chain`
    stands for it between processes, which then hash alike. `is_tool` if a tool is called: known
    clients name their run to the model alone.
    """

    credential: str
    invocation: str = ""
    header: str = ""
    trace: str = ""
    client: str = ""
    messages: tuple[bytes, ...] = ()
    chain: tuple[int, ...] = ()
    is_tool: bool = False

    def hashed(self) -> "Clues":
        """The same with the hashes of the conversation in its place."""
        if not self.messages:
            return self
        return msgspec.structs.replace(self, messages=(), chain=chain_of(self))


def external_of(clues: Clues) -> External | None:
    """The one id from outside that counts, if any was told."""
    if clues.header:
        return Grouping.HEADER, clues.header
    if clues.trace:
        return Grouping.TRACEPARENT, clues.trace
    if clues.client:
        return Grouping.CLIENT, clues.client
    return None


def chain_of(clues: Clues) -> tuple[int, ...]:
    """A hash of each beginning of the conversation, the whole last.

    The interpreter's keyed SipHash is enough: a collision only joins two runs of one credential.
    Processes that exchange hashes are started with the same key.
    """
    if clues.chain:
        return clues.chain
    chain = []
    link = 0
    for message in clues.messages:
        link = hash((link, message))
        chain.append(link)
    return tuple(chain)
