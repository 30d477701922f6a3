"""What is seen of a sandbox is on the record once, counted after that, and bounded."""

from tests.gateways.world import TOKEN, World

from ringfence.domain.agent import SandboxTier
from ringfence.domain.event import AGENT, Change, Observation
from ringfence.domain.observation import Seen
from ringfence.domain.sandbox import Sandbox
from ringfence.enforcement.directory import Caller, digest_of
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.observation import KEPT_BYTES, SIGHTS_PER_MINUTE, Sighting
from ringfence.enforcement.repeat import REPEAT_WINDOW_US


class Tower:
    """A worker that looks at one sandbox."""

    def __init__(self) -> None:
        self.world = World()
        self.clock = self.world.clock
        worker = self.world.worker
        caller = worker.directory.identify(digest_of(TOKEN.encode()), 0)
        assert isinstance(caller, Caller)
        self.caller = caller
        found = worker.invocations.join_tool(caller, (), self.clock.now_us())
        assert isinstance(found, LiveInvocation)
        self.sandbox = Sandbox(
            id="sbx_1",
            organisation="org_acme",
            agent="agt_triage",
            invocation=found.id,
            tier=SandboxTier.STRICT,
            started_us=0,
            monitor_pid=1,
            workspace="/project",
            ca_fingerprint="",
            policy="",
        )

    def see(
        self, subject: str = "a.example", what: Seen = Seen.DNS_QUERY, body: bytes = b""
    ) -> str:
        sighting = Sighting(what=what, subject=subject, detail={"verdict": "deny"})
        return self.world.worker.observations.see(self.caller, self.sandbox, sighting, body)

    @property
    def seen(self) -> list[tuple[str, str, int]]:
        return [(each.what, each.subject, each.repeats) for each in self.events]

    @property
    def events(self) -> list[Observation]:
        return [each for each in self.world.ledger.events if isinstance(each, Observation)]


def test_what_is_seen_stands_in_the_invocation_which_it_opens() -> None:
    tower = Tower()
    action = tower.see()
    opened, event = tower.world.ledger.events
    assert isinstance(opened, Change)
    assert opened.what == "invocation.opened"
    assert isinstance(event, Observation)
    assert (event.action, event.sandbox, event.what) == (action, "sbx_1", "dns.query")
    assert event.invocation == event.root == opened.subject == tower.sandbox.invocation
    assert (event.agent_name, event.detail) == ("triage", {"verdict": "deny"})


def test_what_is_seen_again_is_counted_and_the_count_written_later() -> None:
    tower = Tower()
    first = tower.see()
    assert [tower.see() for _ in range(3)] == [first] * 3
    tower.see("b.example")
    tower.clock.advance(REPEAT_WINDOW_US)
    tower.world.worker.observations.flush()
    assert tower.seen == [
        ("dns.query", "a.example", 0),
        ("dns.query", "b.example", 0),
        ("dns.query", "a.example", 3),
    ]
    assert tower.events[-1].first_action == first


def test_names_that_a_process_makes_up_are_counted_together() -> None:
    tower = Tower()
    for number in range(2 * SIGHTS_PER_MINUTE):
        tower.see(f"secret-{number}.example")
    assert len(tower.events) == SIGHTS_PER_MINUTE + 1
    assert tower.events[-1].subject == "others"
    tower.see("exited", Seen.SANDBOX_ENDED)
    assert tower.seen[-1] == ("sandbox.ended", "exited", 0)
    tower.world.worker.observations.flush(everything=True)
    assert tower.seen[-1] == ("dns.query", "others", SIGHTS_PER_MINUTE - 1)


def test_one_kind_of_things_does_not_crowd_out_another() -> None:
    tower = Tower()
    for number in range(2 * SIGHTS_PER_MINUTE):
        tower.see(f"call-{number}", Seen.CALL_REFUSED)
    tower.see("a.example")
    assert tower.seen[-1] == ("dns.query", "a.example", 0)


def test_what_was_seen_many_times_at_once_is_counted_so() -> None:
    tower = Tower()
    sighting = Sighting(what=Seen.CALL_REFUSED, subject="bpf")
    for times in (5, 3):
        tower.world.worker.observations.see(tower.caller, tower.sandbox, sighting, times=times)
    tower.world.worker.observations.flush(everything=True)
    assert tower.seen == [("call.refused", "bpf", 0), ("call.refused", "bpf", 7)]


def test_evidence_has_a_body_which_is_bounded_and_never_counted_away() -> None:
    tower = Tower()
    one = tower.see("pty", Seen.TRANSCRIPT, b"$ make\n")
    assert tower.see("pty", Seen.TRANSCRIPT, b"$ make\n") != one
    assert tower.world.ledger.bodies[f"Observation {one}"] == b"$ make\n"
    long = tower.see("pty", Seen.TRANSCRIPT, b"x" * (KEPT_BYTES + 1))
    assert len(tower.world.ledger.bodies[f"Observation {long}"]) == KEPT_BYTES


def test_what_a_process_says_of_itself_is_marked_and_cut() -> None:
    tower = Tower()
    sighting = Sighting(what=Seen.BUILTINS, subject="x" * 5_000, reported_by=AGENT)
    tower.world.worker.observations.see(tower.caller, tower.sandbox, sighting)
    (event,) = tower.events
    assert (event.reported_by, len(event.subject)) == ("agent", 1_000)
