"""Questions of a server to its client, where the two ask and answer in different ways.

A legacy server asks while it works, and waits; a modern one gives a result that asks, and is asked
again. So a legacy server's call is left waiting (`Suspended`) while its modern client answers, and
a modern server's question is posed to a legacy client as one question after the other (`Posed`).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, final

import msgspec

from ringfence.gateways.tool.channel import Channel, Failure, How, Pending, Taker
from ringfence.protocols.mcp import message, translation
from ringfence.protocols.mcp.message import Envelope
from ringfence.protocols.mcp.translation import Round

ROUNDS_MOST: Final = 20
"""How often one request may ask its client before it is given up."""
SUSPENDED_S: Final = 600.0
"""How long a legacy server is left waiting for a modern client's answer."""
SUSPENDED_MOST: Final = 1000
_KEPT_BYTES: Final = 1024 * 1024


class _Said(msgspec.Struct, frozen=True):
    """What a server has said while nobody listened."""

    tell: Callable[[Taker], None]


@final
class Switch:
    """A `channel.Taker` in front of whoever listens at the time; keeps what comes in between."""

    def __init__(self, taker: Taker) -> None:
        """Begin with this listener."""
        self._taker: Taker | None = taker
        self._kept: list[_Said] = []
        self._kept_bytes = 0

    def leave(self) -> None:
        """Nobody listens for now."""
        self._taker = None

    def listen(self, taker: Taker) -> None:
        """Go on with another listener, beginning with what was kept."""
        self._taker = taker
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        for said in kept:
            self._tell(said)

    def said(self, raw: bytes, envelope: Envelope) -> None:
        """As `Taker`; what a server says besides its answer is kept in bounds."""
        if self._taker is None:
            self._kept_bytes += len(raw)
            if self._kept_bytes > _KEPT_BYTES:
                return
        self._tell(_Said(lambda taker: taker.said(raw, envelope)))

    def marked(self, event_id: bytes, retry_ms: int | None, *, is_alone: bool) -> None:
        """A modern client's stream cannot be resumed."""

    def paused(self) -> None:
        """Nor left."""

    def replied(self, raw: bytes, envelope: Envelope, how: How) -> None:
        """As `Taker`."""
        self._tell(_Said(lambda taker: taker.replied(raw, envelope, how)))

    def lost(self, failure: Failure) -> None:
        """As `Taker`."""
        self._tell(_Said(lambda taker: taker.lost(failure)))

    def _tell(self, said: _Said) -> None:
        if self._taker is None:
            self._kept.append(said)
        else:
            said.tell(self._taker)


class Suspended(msgspec.Struct, frozen=True, kw_only=True):
    """A legacy server's call that waits for its modern client.

    `number` is the raw id of the server's question.
    """

    channel: Channel
    pending: Pending
    switch: Switch
    number: bytes
    key: str
    owner: tuple[str, ...]
    """Whose call it is, its method and its name: nobody else can go on with it."""

    def answer(self, given: bytes) -> bytes:
        """The client's answer, as the message that the server waits for."""
        return message.response(self.number, given)


class Pointed(msgspec.Struct, frozen=True):
    """What the state of a modern client says that was pointed to an approval.

    It holds nothing: the call itself finds the one that is held, by all that binds it.
    """

    name: str = "approval"


POINTED: Final = Pointed()


@final
class Waiting:
    """All suspended calls of one worker, by a name that only their client knows."""

    def __init__(self) -> None:
        """None yet."""
        self._calls: OrderedDict[str, tuple[Suspended, asyncio.TimerHandle]] = OrderedDict()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._calls)

    def add(self, name: str, suspended: Suspended) -> None:
        """Keep one for some minutes; then its server is told that nobody waits any more."""
        timer = asyncio.get_running_loop().call_later(SUSPENDED_S, self._expire, name)
        self._calls[name] = (suspended, timer)
        if len(self._calls) > SUSPENDED_MOST:
            self._expire(next(iter(self._calls)))

    def take(self, name: str, owner: tuple[str, ...]) -> Suspended | None:
        """The call of that name, once, and only for its owner."""
        entry = self._calls.get(name)
        if entry is None or entry[0].owner != owner:
            return None
        del self._calls[name]
        entry[1].cancel()
        return entry[0]

    def close(self) -> None:
        """Give all of them up."""
        for name in tuple(self._calls):
            self._expire(name)

    def _expire(self, name: str) -> None:
        entry = self._calls.pop(name, None)
        if entry is not None:
            entry[1].cancel()
            entry[0].pending.cancel("the client did not answer in time")


@final
class Posed:
    """A modern server's round, posed to a legacy client; `done` is told all answers, once."""

    def __init__(
        self,
        asked: Round,
        pose: Callable[[bytes, Callable[[bytes, bytes], None]], None],
        done: Callable[[dict[str, bytes]], None],
        refused: Callable[[str, bytes], None],
    ) -> None:
        """`pose` puts a question; `refused` is told its method and the client's raw error."""
        self._left = set(asked.requests)
        self._answers: dict[str, bytes] = {}
        self._done = done
        self._refused = refused
        if not self._left:
            done({})
        for key, raw in asked.requests.items():
            question = translation.question_of(raw)
            said = message.request(b"0", question.method, bytes(question.params))
            pose(said, self._taker(key, question.method))

    def _taker(self, key: str, method: str) -> Callable[[bytes, bytes], None]:
        def answered(result: bytes, error: bytes) -> None:
            if not result and method == "elicitation/create":
                result = b'{"action":"cancel"}'
            if not result:
                self._refused(method, error)
                return
            self._answers[key] = result
            self._left.discard(key)
            if not self._left:
                self._done(self._answers)

        return answered
