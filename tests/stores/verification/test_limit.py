from ringfence.protocols.note import VerifierKey
from ringfence.stores.verification.limit import limits
from ringfence.stores.verification.outside import Outside
from ringfence.stores.verification.report import Report

KEY = VerifierKey(name="house", public=bytes(32))


def said(report: Report, outside: Outside, *, is_running: bool = False) -> str:
    return "\n".join(limits(outside, report, is_running=is_running, has_bodies=True))


def test_what_is_not_known_from_outside_is_said() -> None:
    assert "without --key" in said(Report(), Outside())
    assert "without --since" in said(Report(), Outside())
    assert "without --key" not in said(Report(), Outside(key=KEY))


def test_what_was_not_covered_in_time_is_said() -> None:
    open_ = Report(remarks=["log `a`: events 1 to 2 … are not covered yet"])
    assert "no checkpoint covers" in said(open_, Outside())
    assert "no checkpoint covers" not in said(open_, Outside(), is_running=True)
    late = Report(remarks=["log `a`: events … were covered only at the next start"])
    assert "covered late" in said(late, Outside())


def test_bodies_that_are_absent_or_not_looked_at_are_said() -> None:
    assert "3 bodies are not stored" in said(Report(bodies_absent=3), Outside())
    unseen = limits(Outside(), Report(), is_running=False, has_bodies=False)
    assert any("not looked at" in each for each in unseen)
