import asyncio

import pytest
from tests.gateways.tool.test_reply import Noting

from ringfence.domain.error import PeerError
from ringfence.gateways.tool import rounds
from ringfence.gateways.tool.channel import Failure, How
from ringfence.gateways.tool.rounds import Posed, Suspended, Switch, Waiting
from ringfence.protocols.mcp.message import Envelope
from ringfence.protocols.mcp.translation import Round


class Given:
    """A pending call that can be given up."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def cancel(self, reason: str) -> None:
        self.reasons.append(reason)


def suspended(pending: Given, owner: str = "mine") -> Suspended:
    return Suspended(
        channel=None,  # type: ignore[arg-type] # (not asked here)
        pending=pending,
        switch=Switch(Noting()),
        number=b"7",
        key="k",
        owner=(owner,),
    )


def test_what_is_said_while_nobody_listens_is_kept() -> None:
    first, second = Noting(), Noting()
    switch = Switch(first)
    switch.said(b"1", Envelope())
    switch.leave()
    switch.said(b"2", Envelope())
    failure = Failure(error=PeerError("x", "y"))
    switch.lost(failure)
    switch.listen(second)
    assert (first.told, second.told) == ([b"1"], [b"2", failure])


def test_a_suspended_call_is_taken_once_and_by_its_owner_alone() -> None:
    async def run() -> None:
        waiting = Waiting()
        call = suspended(Given())
        waiting.add("name", call)
        assert waiting.take("name", ("other",)) is None
        assert waiting.take("name", ("mine",)) is call
        assert waiting.take("name", ("mine",)) is None
        assert call.answer(b"{}") == b'{"jsonrpc":"2.0","id":7,"result":{}}'

    asyncio.run(run())


def test_what_nobody_goes_on_with_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "SUSPENDED_S", 0.01)
    monkeypatch.setattr(rounds, "SUSPENDED_MOST", 2)

    async def run() -> list[Given]:
        waiting = Waiting()
        pending = [Given() for _ in range(3)]
        for number, each in enumerate(pending):
            waiting.add(str(number), suspended(each))
        assert len(waiting) == 2
        await asyncio.sleep(0.05)
        assert len(waiting) == 0
        return pending

    assert all(each.reasons for each in asyncio.run(run()))


def test_a_round_is_over_when_every_question_is_answered() -> None:
    asked = {"a": b'{"method":"roots/list"}', "b": b'{"method":"elicitation/create","params":{}}'}
    posed: list[object] = []
    done: list[dict[str, bytes]] = []
    refused: list[str] = []

    def pose(raw: bytes, answered: object) -> None:
        posed.append(answered)
        assert raw.startswith(b'{"jsonrpc":"2.0","id":0')

    Posed(Round(requests=asked, state=None), pose, done.append, lambda m, _: refused.append(m))
    first, second = posed
    first(b"{}", b"")  # type: ignore[operator] # (a callback)
    assert done == []
    second(b"", b'{"code":1}')  # type: ignore[operator] # (a callback)
    assert done == [{"a": b"{}", "b": b'{"action":"cancel"}'}]
    Posed(Round(requests=asked, state=None), pose, done.append, lambda m, _: refused.append(m))
    posed[2](b"", b'{"code":1}')  # type: ignore[operator] # (a callback)
    assert refused == ["roots/list"]


def test_a_server_that_talks_while_nobody_listens_is_heard_within_bounds() -> None:
    class Listener:
        def __init__(self) -> None:
            self.heard: list[bytes] = []

        def said(self, raw: bytes, _envelope: Envelope) -> None:
            self.heard.append(raw)

        def replied(self, raw: bytes, _envelope: Envelope, _how: How) -> None:
            self.heard.append(raw)

    switch, listener = Switch(Listener()), Listener()  # type: ignore[arg-type] # as far as it is used
    switch.leave()
    for _ in range(100):
        switch.said(b"x" * 100_000, Envelope())
    switch.replied(b"answer", Envelope(), How(200, is_stream=False))
    switch.listen(listener)  # type: ignore[arg-type] # as far as it is used
    assert len(listener.heard) == 11
    assert listener.heard[-1] == b"answer"
