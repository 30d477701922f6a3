"""A legacy client's session, and all sessions of one worker."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Protocol, final

from ringfence.enforcement.directory import Caller
from ringfence.gateways.tool.background import background
from ringfence.gateways.tool.channel import Channel, Standing
from ringfence.gateways.tool.child import ChildChannel
from ringfence.gateways.tool.outlet import Outlet
from ringfence.protocols.mcp import message, translation
from ringfence.protocols.mcp.message import Envelope, Kind, Message

MOST_OF_ONE: Final = 256
"""Open sessions of one credential; the one that was idle longest makes room."""
PROCESSES_OF_ONE: Final = 32
"""Processes of tool servers that the sessions of one credential may have to themselves here."""
IDLE_US: Final = 3_600_000_000
_STREAMS_MOST: Final = 100
_WAITING_MOST: Final = 100
"""Messages kept for a client that has no stream open."""
_WAITING_BYTES: Final = 64 * 1024
"""Of one of them."""
_QUESTIONS_MOST: Final = 1000

UNASKABLE: Final = b'{"code":-32601,"message":"this client does not answer such questions"}'

Answered = Callable[[bytes, bytes], None]
"""Told of the client's answer: raw result, raw error; one of them is empty."""


class Running(Protocol):
    """A call of this session, as its cancellation and its resumption see it."""

    def give_up(self) -> None:
        """The client has cancelled it."""

    def resume(self, outlet: Outlet) -> None:
        """The client has come back for the rest."""


@final
class Session:
    """One client's session: its channels, calls and open questions."""

    def __init__(
        self, *, name: str, caller: Caller, server: str, introduction: bytes, version: str
    ) -> None:
        """`server` is empty for `/mcp`; `introduction` the raw `initialize` params."""
        self.name = name
        self.owner = _owner(caller)
        self.server = server
        self.introduction = introduction
        self.capabilities = translation.capabilities_of(introduction)
        self.version = version
        self.level = b""
        """The raw log level that the client has asked for."""
        self.uris: dict[str, str] = {}
        """Resources that it has subscribed to, and whose they are."""
        self.channels: dict[str, Channel] = {}
        self.standing: dict[str, Standing] = {}
        self.calls: dict[bytes, Running] = {}
        self.streams: dict[bytes, Running] = {}
        """Calls whose stream was left and can be taken up again, by the stream's name."""
        self.used_us = 0
        self.outlet: Outlet | None = None
        """The client's standing stream."""
        self._questions: dict[bytes, Answered] = {}
        self._numbers = 0
        self._waiting: deque[bytes] = deque(maxlen=_WAITING_MOST)

    def belongs_to(self, caller: Caller) -> bool:
        """Whether it is this caller's. INVARIANT (I7): no other can use it or learn of it."""
        return self.owner == _owner(caller)

    @property
    def processes(self) -> int:
        """How many processes of servers are its own."""
        channels = self.channels.values()
        return sum(each.is_owned and isinstance(each, ChildChannel) for each in channels)

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits on it."""
        is_heard = self.outlet is not None and not self.outlet.response.is_disconnected
        return bool(self.calls) or is_heard

    def may_resume(self, name: bytes, call: Running) -> None:
        """Let the client come back to a call's stream; the oldest of too many is forgotten."""
        self.streams[name] = call
        if len(self.streams) > _STREAMS_MOST:
            del self.streams[next(iter(self.streams))]

    def next_number(self) -> int:
        """A number that nothing else of this session has."""
        self._numbers += 1
        return self._numbers

    def pose(self, raw: bytes, answered: Answered) -> bytes:
        """Give a server's question an id of this session; `answered` is told once."""
        number = b'"rf-q%d"' % self.next_number()
        self._questions[number] = answered
        if len(self._questions) > _QUESTIONS_MOST:
            del self._questions[next(iter(self._questions))]
        return message.replace_id(raw, number)

    def take(self, answer: Message) -> bool:
        """Take the client's answer to a question; whether one was asked."""
        answered = self._questions.pop(answer.id, None)
        if answered is None:
            return False
        answered(answer.part("result"), answer.part("error"))
        return True

    def forget(self, number: bytes) -> bool:
        """Wait for an answer to a question no longer; whether there was none yet."""
        return self._questions.pop(number, None) is not None

    def say(self, raw: bytes) -> None:
        """Tell the client on its standing stream, or as soon as it opens one."""
        outlet = self.outlet
        if outlet is None or outlet.is_over or outlet.response.is_disconnected:
            if len(raw) <= _WAITING_BYTES:
                self._waiting.append(raw)
        else:
            outlet.say(raw, may_drop=True)

    def heard(self, channel: Channel, raw: bytes, envelope: Envelope) -> None:
        """A server says something that belongs to no call."""
        if envelope.kind is Kind.REQUEST:
            if not self.may_be_asked(envelope.method):
                answer_to(channel, bytes(envelope.id))(b"", UNASKABLE)
                return
            raw = self.pose(raw, answer_to(channel, bytes(envelope.id)))
        self.say(raw)

    def may_be_asked(self, method: str) -> bool:
        """Whether its client has said that it answers such questions of a server."""
        return translation.may_ask(self.capabilities, method)

    def attach(self, outlet: Outlet) -> None:
        """The client listens, here and no longer where it did before."""
        before, self.outlet = self.outlet, outlet
        if before is not None:
            before.leave()
        outlet.open()
        while self._waiting:
            outlet.say(self._waiting.popleft())

    async def close(self) -> None:
        """End it, and the sessions that it has with servers."""
        for call in tuple(self.calls.values()):
            call.give_up()
        for standing in self.standing.values():
            standing.close()
        if self.outlet is not None:
            self.outlet.leave()
        for channel in self.channels.values():
            if channel.is_owned:
                await channel.close()


def answer_to(channel: Channel, number: bytes) -> Answered:
    """Sends the client's answer to the server that asked."""

    def answered(result: bytes, error: bytes) -> None:
        if result:
            body = message.response(number, result)
        else:
            body = b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (number, error)
        background(channel.tell(body))

    return answered


@final
class Sessions:
    """All sessions of one worker, by name."""

    def __init__(self) -> None:
        """None yet."""
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._sessions)

    def add(self, session: Session, now_us: int) -> Session | None:
        """Keep a new one; gives the one that had to make room for it."""
        session.used_us = now_us
        self._sessions[session.name] = session
        owned = [each for each in self._sessions.values() if each.owner == session.owner]
        if len(owned) <= MOST_OF_ONE:
            if sum(each.processes for each in owned) <= PROCESSES_OF_ONE:
                return None
            owned = [each for each in owned if each.processes]
        oldest = next((each for each in owned if not each.is_busy), owned[0])
        return self._sessions.pop(oldest.name)

    def find(self, name: str, caller: Caller, server: str, now_us: int) -> Session | None:
        """The session of that name, if it is this caller's and of this address."""
        session = self._sessions.get(name)
        if session is None or not session.belongs_to(caller) or session.server != server:
            return None
        session.used_us = now_us
        self._sessions.move_to_end(name)
        return session

    def remove(self, session: Session) -> None:
        """Forget it."""
        self._sessions.pop(session.name, None)

    def idle(self, now_us: int) -> list[Session]:
        """Take out what nobody has used for long."""
        found = [
            each
            for each in self._sessions.values()
            if now_us - each.used_us > IDLE_US and not each.is_busy
        ]
        for each in found:
            del self._sessions[each.name]
        return found

    def all(self) -> list[Session]:
        """Every one."""
        return list(self._sessions.values())


def _owner(caller: Caller) -> tuple[str, str, object]:
    runtime = caller.runtime
    return (runtime.organisation.id, caller.credential, runtime.principal)
