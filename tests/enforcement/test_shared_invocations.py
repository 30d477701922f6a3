import msgspec
from tests.gateways.world import MemoryLedger, agent, organisation

from ringfence.decisions.clue import Clues
from ringfence.decisions.lease import Broker
from ringfence.domain.agent import Limits
from ringfence.domain.event import Change
from ringfence.domain.invocation import InvocationState
from ringfence.domain.organisation import Configuration
from ringfence.domain.registry import Card
from ringfence.enforcement.directory import Caller, Directory
from ringfence.enforcement.live import LiveInvocation, Refusable
from ringfence.enforcement.narrowing import Narrowing
from ringfence.enforcement.shared_invocations import SharedInvocations
from ringfence.stores.plane import Run
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds

IDS = SequentialIds()


class Plane:
    def __init__(self, **limits: int) -> None:
        acme = organisation(agents={"triage": agent(limits=Limits(**limits))})
        self.directory = Directory()
        self.directory.install(
            Configuration(organisations={"acme": acme}, digest="sha256:1", epoch=1), {}
        )
        self.clock = ManualClock()
        self.ledger = MemoryLedger()
        self.invocations = SharedInvocations(
            directory=self.directory,
            book=Broker(),
            ledger=self.ledger,
            clock=self.clock,
            ids=IDS,
        )

    @property
    def caller(self) -> Caller:
        runtime = self.directory.agent("agt_triage")
        assert runtime is not None
        return Caller(runtime=runtime, credential="crd_1", chain=(runtime.id,))

    def join(self, header: str) -> LiveInvocation | Refusable:
        found = self.invocations.join_by(
            self.caller, Clues(credential="crd_1", header=header), self.clock.now_us()
        )
        assert isinstance(found, LiveInvocation | Refusable)
        return found

    def open(self, header: str) -> LiveInvocation:
        found = self.join(header=header)
        assert isinstance(found, LiveInvocation)
        return found

    def tell(self, live: LiveInvocation) -> Run:
        card = Card(
            identity=live.identity,
            last_us=live.last_us,
            state=live.state,
            stopped=live.stopped,
            token_digest=live.token_digest,
        )
        run = self.invocations.run(live, card)
        return Run(
            card=msgspec.msgpack.decode(msgspec.msgpack.encode(run.card), type=Card), tips=run.tips
        )


def test_what_is_opened_here_is_to_be_told_and_what_is_learnt_is_not() -> None:
    one, two = Plane(), Plane()
    live = one.open("ticket-7")
    assert list(one.invocations.changed) == [live.id]
    assert one.invocations.opened == [live]
    learnt = two.invocations.learn(one.tell(live))
    assert learnt is not None
    assert learnt.id == live.id
    assert two.invocations.changed == {}
    assert two.invocations.opened == []
    assert two.invocations.learn(one.tell(live)) is None, "known by now"
    assert two.open("ticket-7").id == live.id
    assert two.ledger.events == []


def test_an_end_is_learnt_with_what_the_run_was_known_by() -> None:
    one, two = Plane(), Plane()
    live = one.open("ticket-7")
    two.invocations.learn(one.tell(live))
    one.invocations.finish(live, one.clock.now_us())
    told = one.tell(live)
    two.invocations.learn(told)
    for each in (two, Plane()):  # one that knew it, and one that hears of it for the first time
        each.invocations.learn(told)
        found = each.join(header="ticket-7")
        assert isinstance(found, Refusable)
        assert [each for each in two.ledger.events if isinstance(each, Change)] == []


def test_a_run_that_was_left_idle_leaves_its_name_free_everywhere() -> None:
    one, two = Plane(), Plane()
    live = one.open("ticket-7")
    two.invocations.learn(one.tell(live))
    one.clock.advance(24 * 3600 * 1_000_000)
    one.invocations.expire(one.clock.now_us())
    assert live.state is InvocationState.EXPIRED
    two.invocations.learn(one.tell(live))
    assert two.open("ticket-7").id != live.id


def test_what_could_not_be_told_was_never_opened() -> None:
    one = Plane()
    live = one.open("ticket-7")
    one.invocations.record_opening(live)
    one.invocations.undo(live)
    assert one.open("ticket-7").id != live.id
    changes = [each.what for each in one.ledger.events if isinstance(each, Change)]
    assert changes == ["invocation.opened", "invocation.expired"]


def test_a_conversation_s_progress_is_learnt() -> None:
    one, two = Plane(), Plane()
    live = one.open("ticket-7")
    two.invocations.learn(one.tell(live))
    one.invocations.advance(live.id, 11)
    one.clock.advance(5)
    one.invocations.touch(live, one.clock.now_us())
    told = one.tell(live)
    assert told.tips == (11,)
    two.invocations.learn(told)
    there = two.invocations.find(live.id)
    assert there is not None
    assert two.tell(there).tips == (11,)
    assert there.last_us == live.last_us


def test_children_are_counted_where_their_parent_is_known_and_learnt_nowhere_else() -> None:
    one, two = Plane(depth=1, sub_agents=3), Plane(depth=1, sub_agents=3)
    parent = one.invocations.open_declared(one.caller, "t", Narrowing(), b"p", 1)
    assert isinstance(parent, LiveInvocation)
    told = one.tell(parent)
    who = Caller(
        runtime=one.caller.runtime, credential="crd_1", chain=("agt_triage",), invocation=parent.id
    )
    child = one.invocations.open_declared(who, "t", Narrowing(), b"c", 1)
    assert isinstance(child, LiveInvocation)
    assert two.invocations.learn(one.tell(child)) is None, "its parent is unknown"
    there = two.invocations.learn(told)
    assert there is not None
    assert two.invocations.learn(one.tell(child)) is not None
    assert (there.tree.sub_agents, there.tree.alive) == (1, 1)
    assert two.directory.identify(b"c", 1) == two.directory.identify(b"c", 1)


def test_a_run_of_an_agent_that_is_not_known_here_is_not_learnt() -> None:
    one = Plane()
    assert one.invocations.is_known("agt_triage")
    assert not one.invocations.is_known("agt_other")
