from ringfence.analysis.verification import Fault, Finding
from ringfence.stores.verification.report import Report


def test_a_report_holds_until_something_is_found() -> None:
    report = Report()
    assert report.holds
    report.add_unknown("act_1")
    assert report.holds
    report.add(Finding(fault=Fault.ALTERED))
    assert not report.holds


def test_a_report_stays_bounded() -> None:
    report = Report()
    for number in range(10_050):
        report.add(Finding(fault=Fault.ALTERED, first=number))
        report.add_unknown(f"act_{number}")
    assert (len(report.findings), report.left_out) == (10_000, 50)
    assert (len(report.unknown), report.unknown_count) == (1_000, 10_050)
