"""A call that waits for a person: how its client is kept, and what it is told in the end.

Measured (Claude Code, Codex, Copilot, langgraph, autogen, pydantic-ai): a client waits minutes for
a tool if the stream opens at once and something comes on it now and then. One that does not wait
makes the same call again, and finds it where it stands.
"""

import asyncio
from collections import OrderedDict
from dataclasses import replace
from typing import Final, final

import msgspec

from ringfence.domain.approval import Approval, ApprovalState
from ringfence.domain.error import UnavailableError
from ringfence.domain.verdict import Ask as Asks
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.held_call import HeldCalls
from ringfence.enforcement.holding import Holdable
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.tool_knock import ToolKnock
from ringfence.enforcement.tool_ticket import ToolTicket
from ringfence.gateways.tool.ask import Ask, Means, owner_of
from ringfence.gateways.tool.outlet import Outlet
from ringfence.gateways.tool.rounds import POINTED
from ringfence.protocols.mcp import elicitation, message, request
from ringfence.protocols.mcp.version import Era

WAIT_S: Final = 600.0
"""How long a client is kept waiting; then it is told to ask again."""
LOOK_S: Final = 5.0
"""How often a waiting client hears that it still waits."""
_RETRY_AFTER_S: Final = 30
_STATE_US: Final = 3_600_000_000
"""How long a modern client may take to ask again after it was pointed to an approval."""
_POINTED_MOST: Final = 1_000


@final
class _Client:
    """Whoever waits for a held call. Implements `session.Running`, so that it can be cancelled."""

    def __init__(self, ask: Ask, outlet: Outlet) -> None:
        self.ask = ask
        self.outlet = outlet
        self._gone = asyncio.Event()
        outlet.on_gone(self._gone.set)
        if ask.session is not None:
            ask.session.calls[ask.number] = self

    @property
    def is_gone(self) -> bool:
        """Whether it has left, or has given the call up."""
        return self._gone.is_set() or self.outlet.response.is_disconnected

    @property
    def capabilities(self) -> bytes:
        """What it says of itself, raw."""
        session = self.ask.session
        return (
            self.ask.asked.said(request.CAPABILITIES) if session is None else session.capabilities
        )

    def give_up(self) -> None:
        """It has cancelled the call: nothing is done, and nothing more is said to it."""
        self._gone.set()
        self.outlet.leave()

    def resume(self, outlet: Outlet) -> None:
        """A stream that was never left is not resumed."""
        outlet.leave()

    async def until_gone(self) -> None:
        """Return when it has left."""
        await self._gone.wait()

    def end(self) -> None:
        """It waits no longer."""
        session, number = self.ask.session, self.ask.number
        if session is not None and session.calls.get(number) is self:
            del session.calls[number]


@final
class HeldClients:
    """Keeps the clients of held calls; one for each door."""

    def __init__(self, means: Means, approvals: Approvals | None) -> None:
        """`approvals` is None where nothing can be held."""
        self._means = means
        self._approvals = approvals
        self._calls = HeldCalls(means.path, approvals)
        self._pointed: OrderedDict[str, None] = OrderedDict()
        """Approvals to which a client was pointed: once is enough."""

    async def wait(
        self, ask: Ask, knock: ToolKnock, held: Holdable, outlet: Outlet
    ) -> ToolTicket | RefusedAction | None:
        """Hold a call until a person has answered; None if its client has left or asks again.

        A client that declares elicitation is pointed to the approval, once. INVARIANT: nothing that
        it answers there counts: whoever approves has a login of his own.
        """
        found = await self._means.path.hold(knock, held)
        if isinstance(found, RefusedAction) or self._approvals is None:
            return found if isinstance(found, RefusedAction) else None
        client = _Client(ask, outlet)
        posed = b""
        try:
            params = self._pointer(client, held, found)
            if params and ask.era is Era.MODERN:
                await self._let_go(self._approvals, found)
                self._ask_again(client, params)
                return None
            outlet.open()
            if params and ask.session is not None:
                question = message.request(b"0", elicitation.METHOD, params)
                posed = ask.session.pose(question, _nothing)
                outlet.say(posed)
            with held.live.waited_for():
                return await self._waited(self._approvals, client, knock, held, found)
        finally:
            client.end()
            _take_back(client, posed)

    async def _waited(
        self,
        approvals: Approvals,
        client: _Client,
        knock: ToolKnock,
        held: Holdable,
        found: Approval,
    ) -> ToolTicket | RefusedAction | None:
        clock = self._means.clock
        until_us = clock.monotonic_us() + int(WAIT_S * 1e6)
        token = client.ask.asked.said("progressToken")
        steps = 0
        while found.state is ApprovalState.PENDING and not client.is_gone:
            steps += 1
            _tell_waiting(client.outlet, token, steps, found, clock.monotonic_us())
            found = await _looked(approvals, client, found)
            if found.state is ApprovalState.PENDING and clock.monotonic_us() > until_us:
                return _pending(found)
        if client.is_gone:  # before the approval is used up: it stays for when the call comes again
            return None
        return await self._calls.go_on(knock, held, found, lambda: client.is_gone)

    def _pointer(self, client: _Client, held: Holdable, found: Approval) -> bytes:
        """What a client is shown of a held call; empty if nothing, or if it was shown already."""
        ask = client.ask
        is_later = ask.is_pointed or (ask.session is None and bool(ask.asked.text("requestState")))
        if is_later or found.id in self._pointed or found.state is not ApprovalState.PENDING:
            return b""
        page = held.live.runtime.organisation.approvals.page.replace("{id}", found.id)
        params = elicitation.pointer(client.capabilities, found.id, _told(found), page)
        if params:
            self._pointed[found.id] = None
            if len(self._pointed) > _POINTED_MOST:
                self._pointed.popitem(last=False)
        return params

    @staticmethod
    async def _let_go(approvals: Approvals, found: Approval) -> None:
        """Say that nobody waits for it now, so that the same call asked again takes it up."""
        try:
            await approvals.wait(found.binding.organisation, found.id, 0.0)
        except UnavailableError:
            return

    def _ask_again(self, client: _Client, params: bytes) -> None:
        means, ask = self._means, client.ask
        state = means.sealer.seal(
            POINTED.name.encode(),
            "\n".join(owner_of(ask)).encode(),
            means.clock.now_us() + _STATE_US,
            means.nonce(),
        )
        if not client.is_gone:
            result = elicitation.pointing(params, state)
            client.outlet.answer(message.response(ask.number, result))


async def _looked(approvals: Approvals, client: _Client, held: Approval) -> Approval:
    """The held call a little later, or as soon as it is decided or its client has left."""
    looking = asyncio.ensure_future(approvals.wait(held.binding.organisation, held.id, LOOK_S))
    leaving = asyncio.ensure_future(client.until_gone())
    try:
        await asyncio.wait({looking, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not looking.done():
            return held
        return looking.result() or replace(held, state=ApprovalState.WITHDRAWN)
    except UnavailableError:
        await asyncio.wait({leaving}, timeout=LOOK_S)
        return held
    finally:
        looking.cancel()
        leaving.cancel()
        await asyncio.gather(looking, leaving, return_exceptions=True)


def _told(approval: Approval) -> str:
    return (
        f"Ringfence holds `{approval.binding.resource}` until a person approves it: "
        f"{'; '.join(approval.reasons) or 'a policy asks for it'}. Whoever may approve it finds it "
        f"with `ringfence approval show {approval.id}`. What you answer here approves nothing."
    )


def _nothing(result: bytes, error: bytes) -> None:
    """What a client answers to a pointer counts for nothing."""


def _take_back(client: _Client, posed: bytes) -> None:
    """The pointer is of no use any more: its client need not show it."""
    session = client.ask.session
    if session is None or not posed or client.is_gone or client.outlet.is_over:
        return
    number = message.read(posed).id
    if session.forget(number):
        params = {"requestId": msgspec.Raw(number), "reason": "the approval was decided"}
        told = message.notification("notifications/cancelled", msgspec.json.encode(params))
        client.outlet.say(told)


def _tell_waiting(
    outlet: Outlet, token: bytes, steps: int, approval: Approval, now_us: int
) -> None:
    if not token:
        outlet.keep_alive(now_us)
        return
    said = f"waiting for a person to approve ({approval.id})"
    params = {"progressToken": msgspec.Raw(token), "progress": steps, "message": said}
    outlet.say(message.notification("notifications/progress", msgspec.json.encode(params)))


def _pending(approval: Approval) -> RefusedAction:
    """Nobody has answered yet: the client is told how to ask again."""
    facts = (
        ("status", "approval_required"),
        ("approval_id", approval.id),
        ("retry_after_s", str(_RETRY_AFTER_S)),
        ("expires_at_us", str(approval.expires_us)),
    )
    text = (
        f"This call needs a person's approval ({approval.id}), and nobody has answered yet: "
        f"{'; '.join(approval.reasons) or 'a policy asks for it'}. Nothing was done. Make exactly "
        f"the same call again in {_RETRY_AFTER_S} seconds to find out."
    )
    why = Reason(code=Code.APPROVAL_PENDING, message=text, facts=facts)
    invocation = approval.binding.invocation
    return RefusedAction(verdict=Asks(reason=why), action="", invocation=invocation)
