"""Users: their roles on the control plane, and what agents may do on their behalf."""

from collections.abc import Mapping

from ringfence.config.definition import budget
from ringfence.config.definition.tool import read_patterns
from ringfence.config.section import Section
from ringfence.domain.organisation import Role, User, UserDefaults
from ringfence.domain.user import NAME

_NAME_HELP = "use an e-mail address or another stable name without spaces"


def read_users(root: Section) -> dict[str, User]:
    """Read `users`."""
    users: dict[str, User] = {}
    for name, section in root.named("users", "user", pattern=NAME, rule=_NAME_HELP):
        users[name] = User(
            name=name,
            roles=frozenset(_read_roles(section)),
            models=_read_models(section, root.names("models")),
            tools=_read_tools(section, root.names("tools")),
            budgets=budget.read(section, ("user", name)),
            calls_per_minute=section.whole("calls_per_minute", least=1),
        )
        section.close()
    return users


def read_default_user(section: Section, root: Section) -> UserDefaults | None:
    """Read `default_user`; None if no agent may act for a user who is not named."""
    if "default_user" not in section:
        return None
    inner = section.section("default_user", "`default_user`")
    if inner is None:
        return None
    defaults = UserDefaults(
        models=_read_models(inner, root.names("models")),
        tools=_read_tools(inner, root.names("tools")),
        budgets=budget.read(inner),
        calls_per_minute=inner.whole("calls_per_minute", least=1),
    )
    inner.close()
    return defaults


def _read_roles(section: Section) -> list[Role]:
    known = {str(role): role for role in Role}
    items = section.distinct("roles")
    return [known[item.value] for item in items if section.reference(item, "role", known)]


def _read_models(section: Section, models: Mapping[str, object]) -> frozenset[str] | None:
    if "models" not in section:
        return None
    named = section.distinct("models")
    return frozenset(item.value for item in named if section.reference(item, "model", models))


def _read_tools(section: Section, servers: Mapping[str, object]) -> tuple[str, ...] | None:
    return read_patterns(section, servers) if "tools" in section else None
