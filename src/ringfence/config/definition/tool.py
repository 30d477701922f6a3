"""Tool servers: MCP servers started by a command or reached under a URL."""

import re
from collections.abc import Mapping

from ringfence.config.definition.address import read_url
from ringfence.config.definition.pace import read_pace
from ringfence.config.definition.timeout import read_timeouts
from ringfence.config.definition.tool_rule import PATTERN, note_undeclared, read_rules
from ringfence.config.definition.tool_view import read_views
from ringfence.config.problem import CREDENTIAL_WORD, nearest, shown
from ringfence.config.reading import Item
from ringfence.config.section import Section
from ringfence.config.tree import Items, Node, Text
from ringfence.config.variable import (
    is_broken,
    references,
    sole_reference,
    sole_secret,
    with_keys,
)
from ringfence.decisions.scope import BUILT_IN
from ringfence.domain.tool import OAuthClient, PermissionTier, ServerEra, ToolServer

_SERVER = re.compile(r"[a-z][a-z0-9-]{0,19}")
_SERVER_HELP = "use lower-case letters, digits and `-`, at most 20, a letter first"
_CLIENT = re.compile(r"[!-~]{1,200}")
_LONGEST_S = 3600.0
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def read_servers(root: Section) -> dict[str, ToolServer]:
    """Read `tools`."""
    definitions = root.named("tools", "tool server", pattern=_SERVER, rule=_SERVER_HELP)
    servers, users = root.names("tools"), root.names("users")
    return {name: _read(name, section, servers, users) for name, section in definitions}


def read_patterns(section: Section, servers: Mapping[str, object]) -> tuple[str, ...]:
    """Read `tools` of somebody who may use them: patterns like `crm__get_*`."""
    items = section.distinct("tools")
    for item in items:
        _judge_pattern(item, section, servers)
    return tuple(item.value for item in items)


def _judge_pattern(item: Item, section: Section, servers: Mapping[str, object]) -> None:
    server, separator, pattern = item.value.partition("__")
    if not separator or not PATTERN.fullmatch(pattern):
        what = f"{shown(item.written)} in {section.where} is not a pattern of tools"
        section.problem(item.place, what, "write server__tool, for example crm__get_*")
    elif server not in servers:
        what = f"unknown tool server {shown(item.written.partition('__')[0])} in {section.where}"
        section.problem(item.place, what, nearest(item.written.partition("__")[0], servers))


def _read(
    name: str, section: Section, servers: Mapping[str, object], users: Mapping[str, object]
) -> ToolServer:
    if name == BUILT_IN.name:
        what = f"no tool server can be called `{name}`: that is where Ringfence's own tools are"
        section.problem(section.place, what, "give it another name")
    _judge_kind(section)
    plain = ToolServer(name="")
    usual = {"connect": plain.connect_timeout_s, "call": plain.call_timeout_s}
    timeouts = read_timeouts(section, usual, longest_s=_LONGEST_S)
    server = ToolServer(
        name=name,
        command=_read_command(section),
        environment=_read_environment(section),
        url=read_url(section, "url", query=True) or None,
        is_run_by_agent=section.says("runs", "agent"),
        credential=section.credential(),
        oauth=_read_oauth(section),
        is_stateful=_read_stateful(section),
        era=section.word("era", ServerEra.ANY),
        connect_timeout_s=timeouts["connect"],
        call_timeout_s=timeouts["call"],
        tiers=_read_tiers(section),
        pace=read_pace(section),
        owner=_read_owner(section, users),
        views=read_views(section, servers),
        rules=read_rules(section, servers),
    )
    section.close()
    if not server.is_run_by_agent:
        note_undeclared(server.rules, section)
    return server


def _read_owner(section: Section, users: Mapping[str, object]) -> str:
    item = section.item("owner")
    return item.value if item is not None and section.reference(item, "user", users) else ""


_KINDS = ("command", "url", "runs")
_ONLY_WITH = (("credential", "url"), ("oauth", "url"), ("env", "command"))


def _judge_kind(section: Section) -> None:
    found = [key for key in _KINDS if key in section]
    if len(found) != 1:
        named = " and ".join(f"`{key}`" for key in found)
        what = f"both {named}" if found else "neither `command` nor `url` nor `runs`"
        section.problem(section.place, f"{section.where} has {what}", "give exactly one of them")
        return
    if found == ["runs"] and not section.says("runs", "agent"):
        what = f"`runs` of {section.where} can only be `agent`"
        section.problem(section.at("runs"), what, "a server has a `command` or a `url`")
    for key, kind in _ONLY_WITH:
        if key in section and kind not in section:
            what = f"{section.where} has {_ONE.get(key, '')}`{key}` but no `{kind}`"
            is_secret = key == "credential" and "command" in section
            help_ = "give it to the command under `env`" if is_secret else "remove it"
            section.problem(section.at(key), what, help_)


_ONE = {"credential": "a "}


def _read_stateful(section: Section) -> bool:
    item = section.item("stateful")
    if item is not None and item.value not in {"true", "false"}:
        what = f"`stateful` in {section.where} must be true or false, not {shown(item.written)}"
        section.problem(item.place, what, "true gives each session a process of its own")
    return item is None or item.value != "false"


def _read_oauth(section: Section) -> OAuthClient | None:
    inner = section.section("oauth", f"`oauth` of {section.where}")
    if inner is None:
        return None
    if "credential" in section:
        what = f"{section.where} has both `credential` and `oauth`"
        section.problem(section.at("oauth"), what, "give one of them")
    is_by_person = _read_by(inner)
    if not is_by_person:
        inner.require("client", "secret", "token_url")
    elif "token_url" in inner:
        what = f"{inner.where} has a `token_url`, and a person grants its tokens"
        inner.problem(inner.at("token_url"), what, "remove it: the server says where they are got")
    client = inner.text("client", pattern=_CLIENT, rule="printable characters without spaces")
    found = OAuthClient(
        client=client or "",
        secret=inner.credential("secret") or "",
        token_url=read_url(inner, "token_url", query=True),
        scopes=tuple(item.value for item in inner.distinct("scopes")),
        is_by_person=is_by_person,
    )
    if is_by_person and found.secret and not found.client:
        inner.problem(inner.at("secret"), f"{inner.where} has a `secret` but no `client`", "add it")
    inner.close()
    return found


def _read_by(section: Section) -> bool:
    """Whether a person grants the tokens; else the plane gets them as itself."""
    item = section.item("by")
    if item is not None and item.value not in {"person", "itself"}:
        what = f"`by` in {section.where} must be person or itself, not {shown(item.written)}"
        section.problem(item.place, what, "person: somebody authorises it in a browser")
    return item is not None and item.value == "person"


def _read_command(section: Section) -> tuple[str, ...]:
    node = section.node("command")
    if isinstance(node, Items) and not node.items:
        section.problem(node.place, f"the command of {section.where} is empty", "name a program")
    return tuple(item.value for item in section.items("command"))


def _read_environment(section: Section) -> tuple[tuple[str, str], ...]:
    inner = section.section("env", f"`env` of {section.where}")
    if inner is None:
        return ()
    return tuple(
        (key, _read_variable(inner, key, node))
        for key in inner
        if (node := inner.node(key)) is not None
    )


def _read_variable(section: Section, key: str, node: Node) -> str:
    """Keep the text as it is: its references are secrets and are replaced at the start alone."""
    if not _VARIABLE.fullmatch(key):
        section.problem(section.at(key), f"{shown(key)} cannot be the name of a variable")
    if not isinstance(node, Text):
        section.problem(node.place, f"{shown(key)} in {section.where} must be text")
        return ""
    is_whole = sole_reference(node.text) is not None or sole_secret(node.text) is not None
    if CREDENTIAL_WORD.search(key) and not is_whole:
        to = "an environment variable or a secret"
        what = f"{shown(key)} in {section.where} must be a reference to {to}"
        help_ = f'write `{key}: "${{NAME}}"` and set NAME, or "${{secret:NAME}}"'
        section.problem(node.place, what, help_)
    elif is_broken(node.text):
        what = f"a broken reference in {shown(key)} of {section.where}"
        help_ = "write `${NAME}`, `${secret:NAME}`, or `$${` for the characters themselves"
        section.problem(node.place, what, help_)
    for name in references(node.text):
        section.reading.secret(name, node.place)
    where = f"{shown(key)} in {section.where}"
    return with_keys(
        node.text, lambda name: section.reading.use(name, node.place, where, is_sent=False)
    )


def _read_tiers(section: Section) -> tuple[tuple[str, PermissionTier], ...]:
    tiers = {tier.name.lower(): tier for tier in PermissionTier}
    found: dict[str, PermissionTier] = {}
    for key in [key for key in section if key in tiers]:
        for item in section.distinct(key):
            if not PATTERN.fullmatch(item.value):
                what = f"{shown(item.written)} in {section.where} is not a pattern of tool names"
                section.problem(item.place, what, "like `delete_*`")
            if item.value in found:
                what = f"{shown(item.written)} of {section.where} has two tiers"
                section.problem(item.place, what, "keep the stricter one")
            found[item.value] = tiers[key]
    for key in tiers:
        _ = key in section
    return tuple(found.items())
