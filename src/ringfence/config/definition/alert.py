"""Budget alerts: where they are sent, and at which shares of a limit."""

from ringfence.config.definition.address import is_exposed, read_url
from ringfence.config.section import Section
from ringfence.domain.alert import AlertRules

_MOST_PERCENT = 100


def read_alerts(root: Section) -> AlertRules:
    """Read `alerts`; without it alerts are recorded and sent nowhere."""
    section = root.section("alerts", "`alerts`")
    if section is None:
        return AlertRules()
    rules = AlertRules(
        webhook=read_url(section, "webhook", query=True),
        credential=section.credential(),
        percents=_read_percents(section),
    )
    section.close()
    if rules.credential and not rules.webhook:
        section.problem(section.at("credential"), "`alerts` has no `webhook`", "add one")
    if rules.credential and is_exposed(rules.webhook):
        what = "`alerts` sends its credential over http without encryption"
        section.reading.notes.add(section.at("webhook"), what, "use https")
    return rules


def _read_percents(section: Section) -> tuple[int, ...]:
    found: set[int] = set()
    for item in section.distinct("percents"):
        if item.value.isascii() and item.value.isdigit() and 0 < int(item.value) <= _MOST_PERCENT:
            found.add(int(item.value))
        else:
            what = "a value of `percents` in `alerts` is not a share of a limit"
            section.problem(item.place, what, f"write whole numbers from 1 to {_MOST_PERCENT}")
    return tuple(sorted(found)) or AlertRules().percents
