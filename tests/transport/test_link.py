import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError, RingfenceError, UnavailableError, UsageError
from ringfence.transport import link as links
from ringfence.transport.frame import frame
from ringfence.transport.link import Failed, Later, Link

Run = Callable[[Any], Any]


class Word(msgspec.Struct, frozen=True, tag="word"):
    text: str


class Number(msgspec.Struct, frozen=True, tag="number"):
    value: int


Said = Word | Number | Failed


class Side:
    """A receiver that notes everything, and answers words with their length."""

    def __init__(self) -> None:
        self.heard: list[Said] = []
        self.why: RingfenceError | None = None
        self.gate: asyncio.Event = asyncio.Event()
        self.later: list[Later[Said]] = []

    def told(self, message: Said) -> None:
        self.heard.append(message)

    def asked(self, message: Said) -> Said | Awaitable[Said]:
        self.heard.append(message)
        match message:
            case Word(text="later"):
                self.later.append(Later())
                return self.later[-1]
            case Word(text="slow"):
                return self.slowly()
            case Word(text="wrong"):
                raise UsageError("wrong_word", "that word is wrong", help="say another")
            case Word(text="broken"):
                raise ZeroDivisionError
            case Word(text=text):
                return Number(len(text))
            case _:
                return message

    async def slowly(self) -> Said:
        await self.gate.wait()
        return Word("done")

    def closed(self, why: RingfenceError) -> None:
        assert self.why is None
        self.why = why


class Pair:
    """Both ends of one link."""

    def __init__(self, near: Link[Said], far: Link[Said], sides: tuple[Side, Side]) -> None:
        self.near, self.far = near, far
        self.side, self.other = sides

    @classmethod
    async def open(cls) -> "Pair":
        one, two = socket.socketpair()
        sides = (Side(), Side())
        far_opening = asyncio.create_task(Link[Said].over(two, Said, "1", sides[1]))
        near = await Link[Said].over(one, Said, "1", sides[0])
        far = await far_opening
        return cls(near, far, sides)

    async def close(self) -> None:
        self.near.close()
        await self.near.wait_closed()
        await self.far.wait_closed()


def test_what_is_said_arrives_in_the_order_in_which_it_was_said(run: Run) -> None:
    async def story() -> None:
        pair = await Pair.open()
        for number in range(100):
            if number % 3:
                pair.near.tell(Number(number))
            else:
                _ = pair.near.ask(Number(number))
        assert await pair.near.ask(Word("four")) == Number(4)
        assert pair.other.heard == [*map(Number, range(100)), Word("four")]
        await pair.close()

    run(story())


def test_both_sides_ask_at_once(run: Run) -> None:
    async def story() -> None:
        pair = await Pair.open()
        answers = await asyncio.gather(
            *(pair.near.ask(Word("x" * n)) for n in range(50)),
            *(pair.far.ask(Word("y" * n)) for n in range(50)),
        )
        assert answers == [Number(n) for n in (*range(50), *range(50))]
        await pair.close()

    run(story())


def test_a_slow_answer_holds_up_no_other(run: Run) -> None:
    async def story() -> None:
        pair = await Pair.open()
        slow = pair.near.ask(Word("slow"))
        assert await pair.near.ask(Word("ab")) == Number(2)
        assert not slow.done()
        pair.other.gate.set()
        assert await slow == Word("done")
        await pair.close()

    run(story())


def test_an_answer_that_is_given_later_comes_once(run: Run) -> None:
    async def story() -> None:
        pair = await Pair.open()
        asked = pair.near.ask(Word("later"))
        assert await pair.near.ask(Word("ab")) == Number(2)
        assert not asked.done()
        pair.other.later[0].give(Number(7))
        pair.other.later[0].give(Number(8))
        assert await asked == Number(7)
        assert pair.other.later[0].is_over
        await pair.close()

    run(story())


def test_nobody_waits_for_what_would_be_given_when_the_link_has_ended(run: Run) -> None:
    async def story() -> None:
        pair = await Pair.open()
        _ = pair.near.ask(Word("later"))
        await pair.near.ask(Word("there"))
        await pair.close()
        assert pair.other.later[0].is_over
        pair.other.later[0].give(Number(7))

    run(story())


def test_what_is_given_later_can_be_awaited_and_given_up(run: Run) -> None:
    async def story() -> None:
        early: Later[Said] = Later()
        early.give(Number(1))
        assert await early == Number(1)
        late: Later[Said] = Later()
        asyncio.get_running_loop().call_soon(late.give, Number(2))
        assert await late == Number(2)
        never: Later[Said] = Later()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await never
        assert never.is_over

    run(story())


def test_whoever_asks_may_be_called_with_the_answer_or_with_why_there_is_none(run: Run) -> None:
    async def story() -> None:
        pair = await Pair.open()
        found: list[Said | RingfenceError] = []
        pair.near.begin(Word("four"), found.append)
        pair.near.begin(Word("wrong"), found.append)
        pair.near.flush()
        await pair.near.ask(Word("there"))
        pair.near.begin(Word("later"), found.append)
        await pair.near.ask(Word("there"))
        pair.far.close()
        await pair.near.wait_closed()
        pair.near.begin(Word("four"), found.append)
        assert found[0] == Number(4)
        errors = [each.code for each in found[1:] if isinstance(each, RingfenceError)]
        assert errors == ["wrong_word", "link_closed", "link_closed"]
        await pair.close()

    run(story())


def test_what_is_flushed_leaves_before_the_turn_is_over(run: Run) -> None:
    async def story() -> None:
        one, two = socket.socketpair()
        two.sendall(frame(msgspec.msgpack.encode({"ringfence": "1", "pid": 1})))
        near = await Link[Said].over(one, Said, "1", Side())
        two.recv(1000)
        two.settimeout(0)
        near.tell(Word("now"))
        with pytest.raises(BlockingIOError):
            two.recv(1000)
        near.flush()
        assert two.recv(1000) == frame(msgspec.msgpack.encode((0, Word("now"))))
        near.close()
        two.close()
        await near.wait_closed()

    run(story())


def test_an_error_of_ours_is_raised_again_at_the_other_side(run: Run) -> None:
    async def story() -> None:
        pair = await Pair.open()
        with pytest.raises(UsageError) as caught:
            await pair.near.ask(Word("wrong"))
        assert (caught.value.code, caught.value.help) == ("wrong_word", "say another")
        with pytest.raises(UnavailableError) as unexpected:
            await pair.near.ask(Word("broken"))
        assert unexpected.value.code == "internal"
        assert await pair.near.ask(Word("on")) == Number(2)
        await pair.close()

    run(story())


def test_every_open_question_fails_when_the_other_side_goes(run: Run) -> None:
    async def story() -> None:
        pair = await Pair.open()
        waiting = [pair.near.ask(Word("slow")) for _ in range(3)]
        await pair.near.ask(Word("there"))
        pair.far.close()
        for question in waiting:
            with pytest.raises(UnavailableError, match="ended"):
                await question
        assert isinstance(pair.side.why, UnavailableError)
        with pytest.raises(UnavailableError):
            await pair.near.ask(Word("late"))
        pair.near.tell(Word("later"))
        await pair.close()

    run(story())


def test_what_was_said_before_closing_arrives(run: Run) -> None:
    async def story() -> None:
        pair = await Pair.open()
        for number in range(1000):
            pair.near.tell(Number(number))
        pair.near.close()
        await pair.far.wait_closed()
        assert pair.other.heard == [Number(number) for number in range(1000)]

    run(story())


def test_a_process_of_another_version_is_refused_by_both_sides(run: Run) -> None:
    async def story() -> None:
        one, two = socket.socketpair()
        sides = (Side(), Side())
        ends = await asyncio.gather(
            Link[Said].over(one, Said, "0.2", sides[0]),
            Link[Said].over(two, Said, "0.3", sides[1]),
            return_exceptions=True,
        )
        assert any(isinstance(end, UsageError) and end.code == "link_version" for end in ends)
        for end, versions in zip(ends, (("`0.3`", "`0.2`"), ("`0.2`", "`0.3`")), strict=True):
            assert isinstance(end, RingfenceError)
            if end.code == "link_version":
                assert all(version in end.message for version in versions)
        assert sides[0].heard == sides[1].heard == []

    run(story())


def test_a_process_that_says_nothing_is_given_up(run: Run) -> None:
    async def story() -> None:
        one, two = socket.socketpair()
        with two, pytest.raises(UnavailableError, match="greet"):
            await Link[Said].over(one, Said, "1", Side(), greeting_s=0.05)

    run(story())


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff\xff\xff\xff",
        frame(b"\xc1"),
        frame(msgspec.msgpack.encode([0, {"type": "stranger"}])),
        frame(msgspec.msgpack.encode([0, {"type": "word", "text": 1}])),
        frame(msgspec.msgpack.encode("hello")),
    ],
)
def test_what_cannot_be_read_ends_the_link(run: Run, sent: bytes) -> None:
    async def story() -> None:
        one, two = socket.socketpair()
        side = Side()
        two.sendall(frame(msgspec.msgpack.encode({"ringfence": "1", "pid": 1})))
        near = await Link[Said].over(one, Said, "1", side)
        two.sendall(sent)
        await near.wait_closed()
        assert isinstance(side.why, PeerError)
        assert near.is_closed
        two.close()

    run(story())


def test_a_peer_that_does_not_read_is_given_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "PENDING_BYTES", 2_000_000)

    async def story() -> None:
        one, two = socket.socketpair()
        side = Side()
        two.sendall(frame(msgspec.msgpack.encode({"ringfence": "1", "pid": 1})))
        near = await Link[Said].over(one, Said, "1", side)
        for _ in range(40):
            near.tell(Word("x" * 100_000))
            await asyncio.sleep(0)
        assert isinstance(side.why, UnavailableError)
        await near.wait_closed()
        two.close()

    run(story())


def test_no_more_is_read_while_too_much_is_being_answered(run: Run) -> None:
    async def story() -> None:
        pair = await Pair.open()
        pair.far.asked_most = 8
        slow = []
        for _ in range(40):
            slow.append(pair.near.ask(Word("slow")))
            await asyncio.sleep(0.001)
        assert len(pair.other.heard) < 40
        pair.other.gate.set()
        assert await asyncio.gather(*slow) == [Word("done")] * 40
        await pair.close()

    run(story())


@given(st.lists(st.text(max_size=20), max_size=10), st.data())
def test_a_link_survives_any_split_of_the_bytes(words: list[str], data: st.DataObject) -> None:
    greeting = frame(msgspec.msgpack.encode({"ringfence": "1", "pid": 7}))
    said = b"".join(frame(msgspec.msgpack.encode((0, Word(word)))) for word in words)
    stream = greeting + said
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))

    async def story() -> None:
        side = Side()
        link: Link[Said] = Link(Said, "1", side)
        for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            link.data_received(stream[start:stop])
        assert side.heard == list(map(Word, words))
        assert link.peer_pid == 7

    asyncio.run(story())
