"""The organisation itself, its teams and its users."""

import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from ringfence.config.definition import budget
from ringfence.config.problem import nearest, shown
from ringfence.config.section import Section
from ringfence.config.tree import Text
from ringfence.domain.budget import Budget
from ringfence.domain.organisation import Role, Team, User, UserDefaults

_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+@-]{0,253}")
_USER_HELP = "use an e-mail address or another stable name without spaces"
_NO_DEFAULTS = UserDefaults()


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What the key `organisation` says."""

    name: str
    timezone: str = "UTC"
    budgets: tuple[Budget, ...] = ()
    default_user: UserDefaults = _NO_DEFAULTS


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
        budgets=budget.read(section, ("organisation", "")),
        default_user=_read_default_user(section),
    )
    section.close()
    return heading


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


def _read_default_user(section: Section) -> UserDefaults:
    inner = section.section("default_user", "`default_user`")
    if inner is None:
        return _NO_DEFAULTS
    defaults = UserDefaults(
        budgets=budget.read(inner), calls_per_minute=inner.whole("calls_per_minute", least=1)
    )
    inner.not_enforced("budget", "calls_per_minute")
    inner.close()
    return defaults


def read_teams(root: Section) -> dict[str, Team]:
    """Read `teams`."""
    teams: dict[str, Team] = {}
    for name, section in root.named("teams", "team"):
        teams[name] = Team(name=name, budgets=budget.read(section, ("team", name)))
        section.close()
    return teams


def read_users(root: Section) -> dict[str, User]:
    """Read `users`."""
    users: dict[str, User] = {}
    for name, section in root.named("users", "user", pattern=_USER, rule=_USER_HELP):
        users[name] = User(
            name=name,
            roles=frozenset(_read_roles(section)),
            budgets=budget.read(section, ("user", name)),
            calls_per_minute=section.whole("calls_per_minute", least=1),
        )
        section.not_enforced("budget", "calls_per_minute")
        section.close()
    return users


def _read_roles(section: Section) -> list[Role]:
    known = {str(role): role for role in Role}
    items = section.distinct("roles")
    return [known[item.value] for item in items if section.reference(item, "role", known)]
