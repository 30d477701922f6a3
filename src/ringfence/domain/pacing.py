"""The words in which a worker asks for places at paced upstreams that all workers share."""

import msgspec

from ringfence.domain.model import UpstreamKey


class Enter(msgspec.Struct, frozen=True, kw_only=True, tag="pace.enter"):
    """A call of an agent wants a place at each of these upstreams, in this order.

    `number` names the call among those of its worker. `Left` is said of a call that has places, or
    does not want to wait for them any longer. `may_wait` is false for who would rather go without.
    """

    number: int
    agent: str
    upstreams: tuple[UpstreamKey, ...]
    may_wait: bool = True


class Busy(msgspec.Struct, frozen=True, kw_only=True, tag="pace.busy"):
    """There is no place: at which upstream, why in words, and when to ask again."""

    upstream: UpstreamKey
    words: str
    wait_s: float


class Entered(msgspec.Struct, frozen=True, kw_only=True, tag="pace.entered"):
    """What comes of an `Enter`, perhaps much later: places, or where there are none.

    No answer in the link's sense: of questions only so many may be open at a time.
    """

    number: int
    busy: Busy | None = None


class Left(msgspec.Struct, frozen=True, kw_only=True, tag="pace.left"):
    """A call gives its places back. What was never sent does not count in its minute."""

    number: int
    was_sent: bool = True


class Paused(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream has asked to be left alone until then, on the machine's monotonic clock."""

    upstream: UpstreamKey
    until_us: int
