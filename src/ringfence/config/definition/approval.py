"""Approvals: how long a call is held, how many must approve, and where they are told of it."""

from ringfence.config.definition.address import is_exposed, read_url
from ringfence.config.section import Section
from ringfence.domain.approval import ApprovalRules

_LONGEST_S = 7 * 24 * 3600
_MOST_PEOPLE = 10


def read_approvals(root: Section) -> ApprovalRules:
    """Read `approvals`; without it a call is held for an hour and nobody is told."""
    section = root.section("approvals", "`approvals`")
    usual = ApprovalRules()
    if section is None:
        return usual
    rules = ApprovalRules(
        seconds=section.whole("seconds", usual.seconds, least=1, most=_LONGEST_S) or usual.seconds,
        quorum=section.whole("quorum", usual.quorum, least=1, most=_MOST_PEOPLE) or usual.quorum,
        webhook=read_url(section, "webhook", query=True),
        form=section.word("form", usual.form),
        credential=section.credential(),
        signing_key=section.credential("signing_key"),
        page=read_url(section, "page", query=True),
    )
    section.close()
    for key, value in (("credential", rules.credential), ("signing_key", rules.signing_key)):
        if value and not rules.webhook:
            what = f"`approvals` has a `{key}` but no `webhook`"
            section.problem(section.at(key), what, "add one")
    if rules.credential and is_exposed(rules.webhook):
        what = "`approvals` sends its credential over http without encryption"
        section.reading.notes.add(section.at("webhook"), what, "use https")
    return rules
