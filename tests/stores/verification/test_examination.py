"""What events tell of each other; how they fit their hashes is in `test_folder`."""

from collections.abc import Iterator

from tests.stores.ledger.event import START_US, intent, outcome

from ringfence.analysis.verification import Fault
from ringfence.domain.event import AnyEvent, Status
from ringfence.protocols import canonical
from ringfence.stores.verification.examination import Examination, Group
from ringfence.stores.verification.leaf import Head
from ringfence.stores.verification.report import Report
from ringfence.stores.verification.trust import Evidence, Vouched

NOTHING_SIGNED = Evidence(log="log_1", notes=b"", hashes=None)


class Stored:
    """Bodies by action: whether each fits."""

    def __init__(self, fits: dict[str, bool]) -> None:
        self._fits = fits

    def fits(self, head: Head) -> bool | None:
        return self._fits.get(head.action)


def groups(*events: AnyEvent) -> Iterator[Group]:
    for sequence, event in enumerate(events, 1):
        event.log, event.sequence = "log_1", sequence
        yield Group(first=sequence, leaves=[canonical.encode(event)], count=1)


def examined(*events: AnyEvent, bodies: dict[str, bool] | None = None) -> Report:
    report = Report()
    examination = Examination(report, Stored(bodies or {}))
    vouched = Vouched(log="log_1", is_exact=True)
    examination.examine(NOTHING_SIGNED, vouched, groups(*events))
    examination.conclude(is_running=False)
    return report


def faults(report: Report) -> list[tuple[Fault, int, str]]:
    return [(one.fault, one.first, one.id) for one in report.findings]


def test_calls_with_their_outcomes_hold() -> None:
    one, two = intent("act_1"), intent("act_2")
    assert examined(one, two, outcome(one), outcome(two)).holds


def test_an_intent_without_outcome_and_an_outcome_without_intent_are_named() -> None:
    one, two = intent("act_1"), intent("act_2")
    found = faults(examined(one, outcome(two)))
    assert found == [
        (Fault.OUTCOME_MISSING, 1, "intent act_1"),
        (Fault.OUTCOME_EXTRA, 2, "outcome act_2"),
    ]


def test_a_second_outcome_is_named() -> None:
    one = intent("act_1")
    found = faults(examined(one, outcome(one), outcome(one)))
    assert found == [(Fault.OUTCOME_EXTRA, 3, "outcome act_1")]


def test_an_unknown_outcome_is_told_and_is_no_fault() -> None:
    one = intent("act_1")
    ended = outcome(one)
    ended.status = Status.UNKNOWN
    report = examined(one, ended)
    assert report.holds
    assert report.unknown == ["act_1"]


def test_a_body_that_does_not_fit_is_named_and_an_absent_one_counted() -> None:
    events: list[AnyEvent] = []
    for number in range(3):
        one = intent(f"act_{number}")
        one.body = "ab" * 32
        events += [one, outcome(one)]
    report = examined(*events, bodies={"act_0": True, "act_1": False})
    assert faults(report) == [(Fault.BODY_ALTERED, 3, "intent act_1")]
    assert (report.bodies, report.bodies_absent) == (2, 1)


def test_an_event_that_says_it_is_another_is_named() -> None:
    (group,) = groups(intent("act_1"))
    moved = Group(first=5, leaves=group.leaves, count=1, index=(START_US, START_US))
    report = Report()
    examination = Examination(report, None)
    examination.examine(NOTHING_SIGNED, Vouched(log="log_1", is_exact=True), iter([moved]))
    assert faults(report) == [(Fault.REORDERED, 5, "intent act_1")]
    assert any("not covered yet" in each for each in report.remarks)


def test_what_is_no_event_is_named() -> None:
    report = Report()
    bad = [Group(first=1, leaves=[b"{"], count=1), Group(first=2, leaves=None, count=3)]
    Examination(report, None).examine(NOTHING_SIGNED, Vouched(log="log_1"), iter(bad))
    assert [(one.fault, one.first, one.last) for one in report.findings] == [
        (Fault.UNREADABLE, 1, 1),
        (Fault.UNREADABLE, 2, 4),
    ]
