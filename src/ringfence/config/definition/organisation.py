"""The organisation itself and its teams."""

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from ringfence.config.definition import budget
from ringfence.config.definition.masking import read_masking
from ringfence.config.definition.user import read_default_user
from ringfence.config.problem import nearest, shown
from ringfence.config.section import Section
from ringfence.config.tree import Text
from ringfence.domain.budget import Budget
from ringfence.domain.masking import MaskingRules
from ringfence.domain.organisation import RetentionRules, Team, UserDefaults


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What the key `organisation` says."""

    name: str
    timezone: str = "UTC"
    environment: str = ""
    budgets: tuple[Budget, ...] = ()
    default_user: UserDefaults | None = None
    retention: RetentionRules = field(default_factory=RetentionRules)
    masking: MaskingRules = field(default_factory=MaskingRules)


def read_heading(root: Section) -> Heading:
    """Read `organisation`: a mapping, or its name alone."""
    root.require("organisation")
    node = root.node("organisation")
    if node is None or isinstance(node, Text):
        return Heading(name=root.text("organisation") if node else "")
    section = Section(node, "`organisation`", root.reading)
    section.require("name")
    heading = Heading(
        name=section.text("name"),
        timezone=_read_timezone(section),
        environment=section.text("environment"),
        budgets=budget.read(section, ("organisation", "")),
        default_user=read_default_user(section, root),
        retention=_read_retention(section),
        masking=read_masking(section),
    )
    section.close()
    return heading


def _read_retention(section: Section) -> RetentionRules:
    inner = section.section("retention", "`retention`")
    if inner is None:
        return RetentionRules()
    rules = RetentionRules(
        body_days=inner.whole("body_days", least=1), event_days=inner.whole("event_days", least=32)
    )
    inner.close()
    return rules


def _read_timezone(section: Section) -> str:
    item = section.item("timezone")
    if item is None or item.value == "UTC":
        return "UTC"
    try:
        ZoneInfo(item.value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        what = f"unknown time zone {shown(item.written)}"
        help_ = nearest(item.written, available_timezones()) or "write it like Europe/Berlin"
        section.problem(item.place, what, help_)
        return "UTC"
    return item.value


def read_teams(root: Section) -> dict[str, Team]:
    """Read `teams`."""
    teams: dict[str, Team] = {}
    for name, section in root.named("teams", "team"):
        teams[name] = Team(name=name, budgets=budget.read(section, ("team", name)))
        section.close()
    return teams
