"""One governed request on its way: from its intent to the server, and its answer to the agent.

Carried by callbacks and without a task, like a model call (docs/design/007). What comes from the
server passes as its bytes came; only where the eras of client and server differ is it translated.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, final

from ringfence.domain.error import PeerError, RingfenceError
from ringfence.domain.event import Status
from ringfence.domain.verdict import Deny, Reason
from ringfence.enforcement.refusal import INTERNAL, RefusedAction
from ringfence.enforcement.tool_inspection import Inspected, Unfinished
from ringfence.enforcement.tool_ticket import ToolEnding, ToolTicket
from ringfence.gateways.answer import own_headers
from ringfence.gateways.carried import CarriedCall
from ringfence.gateways.tool import said
from ringfence.gateways.tool.ask import Ask, Finish, Means, Target, edits_of, mirrored_of
from ringfence.gateways.tool.channel import Failure, How, Pending, Sending
from ringfence.gateways.tool.client_side import ClientSide
from ringfence.gateways.tool.outlet import Outlet
from ringfence.gateways.tool.question import suspended
from ringfence.gateways.tool.reply import failure_of
from ringfence.gateways.tool.rounds import ROUNDS_MOST, Posed, Suspended, Switch
from ringfence.gateways.tool.session import UNASKABLE, answer_to
from ringfence.protocols import strict_json
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import message, request, task, translation
from ringfence.protocols.mcp.message import Envelope, Kind
from ringfence.protocols.mcp.translation import Round
from ringfence.protocols.mcp.version import Era
from ringfence.protocols.strict_json import Edit

_LOG = logging.getLogger(__name__)

CLIENT_REFUSED: Final = "client_refused"
_INTENT_S: Final = 5.0
_SECOND_US: Final = 1_000_000
_FIRST_ERROR: Final = 400


@final
class ToolCall(CarriedCall):
    """One call. Implements `channel.Taker` and `session.Running` too."""

    __slots__ = (
        "_ask",
        "_client",
        "_finish",
        "_finishing",
        "_is_sent",
        "_means",
        "_pending",
        "_resumed",
        "_rounds",
        "_sent_us",
        "_switch",
        "_target",
    )

    ticket: ToolTicket

    def __init__(  # noqa: PLR0913, PLR0917 (a call has these parts)
        self,
        means: Means,
        ask: Ask,
        target: Target,
        ticket: ToolTicket,
        finish: Finish,
        resumed: Suspended | None = None,
        outlet: Outlet | None = None,
    ) -> None:
        """Begun: the intent is on its way to the ledger. `outlet` is a stream that is open."""
        super().__init__(means.authority, ticket)
        self._finish = finish
        self._finishing: asyncio.Task[Inspected] | None = None
        self._means = means
        self._ask = ask
        self._target = target
        self._resumed = resumed
        self._pending: Pending | None = None
        self._switch: Switch | None = None
        self._rounds = 0
        self._sent_us = 0
        self._is_sent = False
        now_us = means.clock.monotonic_us()
        headers = own_headers(ticket.live.id, ticket.action)
        self._client = ClientSide(ask, self, headers, now_us, outlet)
        ask.response.on_disconnect(self._gone)

    # From outside

    def stop(self, why: Reason) -> None:
        """End it from outside, for example because its agent was suspended."""
        if not self.is_over:
            self._give_up(Status.CUT, why)

    def check(self, now_us: int) -> None:
        """End what has taken too long, and keep alive what may take longer."""
        if self.is_over or self._is_cancelled:
            return
        ticket = self.ticket
        if not ticket.durable.done():
            if now_us - ticket.started_us > _INTENT_S * _SECOND_US:
                self._is_cancelled = True  # the intent may still be written, and then needs its end
                self._refuse(said.intent_late())
            return
        deadline_s = ticket.deadline_s
        if self._is_sent and now_us - self._sent_us > deadline_s * _SECOND_US:
            self.lost(said.late(deadline_s))
        else:
            self._client.keep_alive(now_us)

    # As a call of a session

    def give_up(self) -> None:
        """The client has cancelled it: nothing more is said to it."""
        if self.is_over:
            return
        self._drop("the client cancelled it")
        self._settle(ToolEnding(status=Status.CLIENT_GONE, error="cancelled"))
        self._client.leave()
        self.end()

    def resume(self, outlet: Outlet) -> None:
        """The client has come back for the rest."""
        self._client.resume(outlet, is_over=self.is_over)

    def _gone(self) -> None:
        """The client has left: in the modern era, and before anything was sent, that is the end."""
        if self.is_over or (self._ask.era is Era.LEGACY and self.ticket.durable.done()):
            return
        if not self.ticket.durable.done():
            self._is_cancelled = True
            return
        self._drop("the client left")
        self._settle(ToolEnding(status=Status.CLIENT_GONE, error="client_gone"))
        self.end()

    # Its steps

    def forsake(self) -> None:
        """Its intent is durable, and nobody wants it any more."""
        self._means.path.forsake(self.ticket)
        if self._ask.response.is_started:
            self.end()
        else:
            self.interrupt()

    def dispatch(self) -> None:
        """Its intent is durable, or could not be written."""
        refused = self._means.path.written(self.ticket)
        if refused is not None:
            self._client.refuse(refused)
            self.end()
            return
        self.ticket.on_stop = self.stop
        self.act(self._send)

    def _send(self) -> None:
        self._is_sent = True
        self._sent_us = self._means.clock.monotonic_us()
        resumed, target = self._resumed, self._target
        if resumed is not None:
            self._pending, self._switch = resumed.pending, resumed.switch
            answers = translation.answers_of(self._ask.asked)
            answer_to(resumed.channel, resumed.number)(answers.get(resumed.key, _CANCELLED), b"")
            resumed.switch.listen(self)
            return
        number = self._number()
        body = strict_json.replace(self._ask.asked.message.raw, self._edits(number))
        self._call(body, number, target.name)

    def _call(self, body: bytes, number: bytes, name: str) -> None:
        ask = self._ask
        channel = self._target.channel
        sending = Sending(
            body=body,
            number=number,
            method=ask.asked.message.method,
            name=name,
            mirrored=mirrored_of(ask, self._target, self.ticket),
        )
        if ask.era is Era.MODERN and channel.era is Era.LEGACY:
            self._switch = Switch(self)
            self._pending = channel.call(sending, self._switch)
        else:
            self._pending = channel.call(sending, self)

    def _number(self) -> bytes:
        channel = self._target.channel
        is_other = channel.is_shared or channel.era is not self._ask.era
        return channel.number() if is_other else self._ask.number

    def _edits(self, number: bytes) -> list[Edit]:
        return edits_of(self._ask, self._target, self.ticket, number)

    # As a taker of what the server says

    def said(self, raw: bytes, envelope: Envelope) -> None:
        """A notification passes; a question is put in the words of the client's era."""
        self.take(self._said, raw, envelope)

    def _said(self, raw: bytes, envelope: Envelope) -> None:
        if self._means.path.inspections.shows_secret(raw):
            return
        if envelope.kind is Kind.NOTIFICATION:
            if said.may_pass(envelope, self._ask.asked, self._ask.era):
                self.act(self._client.say, raw)
        elif self._ask.session is not None:
            answered = answer_to(self._target.channel, bytes(envelope.id))
            if self._ask.session.may_be_asked(envelope.method):
                self.act(self._client.say, self._ask.session.pose(raw, answered))
            else:
                answered(b"", UNASKABLE)
        elif translation.may_ask(self._ask.asked.said(request.CAPABILITIES), envelope.method):
            self._suspend(envelope)
        else:
            answer_to(self._target.channel, bytes(envelope.id))(b"", UNASKABLE)

    def marked(self, event_id: bytes, retry_ms: int | None, *, is_alone: bool) -> None:
        """The server names a place to go on from: so do we, to a client that has a session."""
        if is_alone and not self.is_over:
            self._client.mark(self, event_id, retry_ms)

    def paused(self) -> None:
        """The server wants the stream left: so we leave ours, if the client can come back."""
        if self._finishing is None:  # else it has answered
            self._client.pause()

    def replied(self, raw: bytes, envelope: Envelope, how: How) -> None:
        """The server's answer."""
        del raw  # what is passed on is written anew, from what was looked at
        self.take(self._replied, envelope, how)

    def _replied(self, envelope: Envelope, how: How) -> None:
        if self.is_over:
            return
        status = how.status
        if how.is_stream and self._target.channel.era is self._ask.era:
            self.act(self._client.open)
        fault = bytes(envelope.error)
        if fault:
            self._pass_error(fault, status)
            return
        result = bytes(envelope.result)
        if self._ask.session is not None and self._target.channel.era is Era.MODERN:
            asked = translation.round_of(result)
            if asked is not None and not self._means.path.inspections.shows_secret(result):
                self.act(self._pose, asked)
                return
        looked = self._means.path.inspect(self.ticket, result)
        if not isinstance(looked, Inspected):
            self._go_to_end(looked)
            return
        ending = looked.ending()
        ending.http_status = status
        self._settle(ending)
        given = looked.result
        if self._ask.era is Era.MODERN and self._target.channel.era is Era.LEGACY:
            given = translation.completed(given, self._ask.asked.message.method)
        given = task.renamed(given, self._shown_task)
        # Written anew: of two members of one name the client could read the one that we did not.
        self.act(self._answer, message.response(self._ask.number, given), 200)

    def _shown_task(self, own: str) -> str:
        """What the client calls a task of its server's."""
        tasks, server = self._means.tasks, self._target.link.server.name
        return tasks.shown(self.ticket.caller, server, own)

    def _go_to_end(self, unfinished: Unfinished) -> None:
        """What its rules say of a failure, or a check of the state after it, takes a task."""
        self._is_sent = False  # each further attempt has its own time
        self._pending = self._switch = None
        self._finishing = asyncio.ensure_future(self._finish(self.ticket, unfinished))
        self._finishing.add_done_callback(self._finished)

    def _finished(self, finishing: "asyncio.Task[Inspected]") -> None:
        """The agent gets what came of it in the end."""
        self._finishing = None
        if self.is_over or finishing.cancelled():
            return
        error = finishing.exception()
        if error is not None:
            _LOG.error("a call could not be finished", exc_info=error)
            self._give_up(Status.FAILED, INTERNAL)
            return
        given = task.renamed(finishing.result().result, self._shown_task)
        if self._ask.era is Era.MODERN:
            given = translation.completed(given, "tools/call")
        self.act(self._answer, message.response(self._ask.number, given), 200)

    def _pass_error(self, fault: bytes, status: int) -> None:
        if self._means.path.inspections.shows_secret(fault):
            fault = said.WITHHELD
        read = errors.read(fault)
        self._settle(
            ToolEnding(
                status=Status.UPSTREAM_ERROR,
                result=fault,
                is_error=True,
                error=f"rpc_{read.code}",
                http_status=status,
            )
        )
        self.act(self._answer, *said.fault(self._ask.asked, self._ask.era, fault, status))

    def _answer(self, raw: bytes, status: int) -> None:
        self._client.answer(raw, status)
        self.end()

    def lost(self, failure: Failure) -> None:
        """The server gives no answer."""
        self.take(self._lost, failure)

    def _lost(self, failure: Failure) -> None:
        if self.is_over:
            return
        self._drop("it took too long")
        error = failure.error
        if self._may_finish(error):
            self._go_to_end(self._means.path.failed(self.ticket, self._means.failed(failure)))
            return
        is_refusal = failure.status >= _FIRST_ERROR
        self._settle(
            ToolEnding(
                status=Status.UPSTREAM_ERROR if is_refusal else Status.FAILED,
                error=error.code,
                http_status=failure.status,
                was_sent=failure.was_sent,
            )
        )
        if self._client.is_there:
            self._refuse(said.failed(self._target.link.server.name, failure))
        self.end()

    def _may_finish(self, error: RingfenceError) -> bool:
        """Whether the tool's rules say what happens: not once the agent has left or refused."""
        is_call = self._ask.asked.message.method == "tools/call"
        is_there = self.ticket.is_open and self._client.is_there
        return is_call and is_there and error.code != CLIENT_REFUSED

    # Questions between the eras

    def _pose(self, asked: Round) -> None:
        """Put a modern server's questions to a legacy client, then ask the server again."""
        session = self._ask.session
        self._rounds += 1
        if session is None or self._rounds > ROUNDS_MOST:
            self.lost(failure_of(PeerError("provider_malformed", "it asked too often")))
            return
        self._sent_us = self._means.clock.monotonic_us()  # people are slow; their time is not its
        self._is_sent = False

        def pose(raw: bytes, answered: Callable[[bytes, bytes], None]) -> None:
            self._client.say(session.pose(raw, answered))

        def done(answers: dict[str, bytes]) -> None:
            if not self.is_over:
                self.act(self._send_again, answers, asked.state)

        def refused(method: str, error: bytes) -> None:
            what = f"the client refused `{method}`: {errors.read(error).message}"
            if not self.is_over:
                self.lost(failure_of(PeerError(CLIENT_REFUSED, what)))

        Posed(asked, pose, done, refused)

    def _send_again(self, answers: dict[str, bytes], state: str | None) -> None:
        self._is_sent = True
        self._sent_us = self._means.clock.monotonic_us()
        number = self._target.channel.number()
        base = strict_json.replace(self._ask.asked.message.raw, self._edits(self._ask.number))
        again = request.read(message.read(base))
        self._call(translation.answered(again, number, answers, state), number, self._target.name)

    def _suspend(self, envelope: Envelope) -> None:
        """Leave a legacy server waiting, and give its question to the client as a result."""
        if self._pending is None or self._switch is None:
            return
        self._switch.leave()
        result = suspended(
            self._means, self._ask, self._target.channel, self._pending, self._switch, envelope
        )
        self._pending = self._switch = None
        self._settle(ToolEnding(status=Status.OK, result=result))
        self.act(self._answer, message.response(self._ask.number, result), 200)

    # Its end

    def take(self, step: Callable[..., None], *facts: object) -> None:
        """Take a step; whatever it raises ends the call."""
        try:
            step(*facts)
        except RingfenceError as error:
            _LOG.warning("a tool call failed: %s", error)
            self._lost(failure_of(error))
        except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected denies)
            _LOG.exception("a call failed unexpectedly")
            self._give_up(Status.FAILED, INTERNAL)

    def withhold(self, why: Reason) -> None:
        """End it: nothing more may be done for its agent."""
        self._give_up(Status.CUT, why)

    def _give_up(self, status: Status, why: Reason) -> None:
        self._drop("it was stopped")
        self._settle(ToolEnding(status=status, error=why.code.value, was_sent=self._is_sent))
        self._refuse(why)
        self.end()

    def _settle(self, ending: ToolEnding) -> None:
        self.ticket.settle(ending)

    def _refuse(self, why: Reason) -> None:
        ticket = self.ticket
        self._client.refuse(
            RefusedAction(verdict=Deny(reason=why), action=ticket.action, invocation=ticket.live.id)
        )

    def end(self) -> None:
        """Nothing more will happen; harmless a second time."""
        if self.is_over:
            return
        self.is_over = True
        self._settle(ToolEnding(status=Status.FAILED, error="interrupted"))
        self._pending = self._switch = None  # they lead back here
        self._client.end()
        self._ask.portion.leave()
        self.told()

    def interrupt(self) -> None:
        """End a call of a plane that stops: its agent sees a cut."""
        self._drop("the gateway stops")
        self._client.abort()
        self.end()

    def _drop(self, reason: str) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.cancel(reason)
        finishing, self._finishing = self._finishing, None
        if finishing is not None:
            finishing.cancel(reason)


_CANCELLED: Final = b'{"action":"cancel"}'
