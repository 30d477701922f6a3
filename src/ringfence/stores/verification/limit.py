"""What a verification cannot exclude, however well everything fits."""

from ringfence.stores.verification.outside import Outside
from ringfence.stores.verification.report import Report


def limits(outside: Outside, report: Report, *, is_running: bool, has_bodies: bool) -> list[str]:
    """Plain sentences, the weightiest first."""
    said: list[str] = []
    if outside.key is None:
        said.append(
            "without --key: that the whole history was rewritten and signed with another key;"
            " compare the key above with the one that `ringfence up` printed"
        )
    else:
        said.append("that somebody who has the signing key itself rewrote what no one kept outside")
    if not outside.kept:
        said.append(
            "without --since: that everything was set back to an older state of itself, or that"
            " the latest events and their checkpoints were removed together"
        )
    else:
        said.append("that events after the newest checkpoint from outside were removed")
    if any("not covered yet" in each for each in report.remarks) and not is_running:
        said.append(
            "that events which no checkpoint covers were altered, added or removed after the plane"
            " ended"
        )
    if any("covered only at the next start" in each for each in report.remarks):
        said.append("that events which were covered late were altered before they were")
    if report.bodies_absent:
        absent = "1 body is" if report.bodies_absent == 1 else f"{report.bodies_absent} bodies are"
        said.append(
            f"why {absent} not stored: erased, expired, refused for lack of room, or removed"
        )
    if not has_bodies:
        said.append("that stored messages were altered: they were not looked at")
    said.append("that an event was wrong when it was written, or that something passed no door")
    return said
