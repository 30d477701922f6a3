"""Secrets: where their values come from, and which requests they are added to."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from ringfence.config.definition.address import is_exact_host, is_exposed, read_url
from ringfence.config.definition.provider import NOT_FOR_CREDENTIALS
from ringfence.config.problem import nearest, shown
from ringfence.config.section import Section
from ringfence.config.tree import Items, Text
from ringfence.config.variable import sole_reference
from ringfence.decisions.injection import is_plain
from ringfence.domain.secret import (
    HTTPS_PORT,
    AsBasic,
    FromCommand,
    FromEnvironment,
    FromFile,
    FromStore,
    FromVault,
    Grant,
    InHeader,
    InQuery,
    Minting,
    SecretBinding,
    SecretDefinition,
    SecretLocation,
    SecretOrigin,
)
from ringfence.sandbox.environment import own_names

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_NAME_HELP: Final = "use lower-case letters, digits, `_` and `-`, at most 64, a letter first"
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_VARIABLE_HELP: Final = "write the name of a variable, for example CRM_TOKEN"
_PATH: Final = re.compile(r"[^\x00-\x1f\x7f]{1,1024}")
_VAULT_PATH: Final = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,127})*"
)
_FIELD: Final = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_TOKEN: Final = re.compile(r"[!-~]{1,200}")
_TOKEN_HELP: Final = "use visible ASCII characters without spaces"  # noqa: S105 (a help text)
_HEADER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_PREFIX: Final = re.compile(r"[!-~](?:[ -~]{0,62})?")
_PARAMETER: Final = re.compile(r"[A-Za-z0-9._~-]{1,64}")
_USER: Final = re.compile(r"[!-9;-~]{1,200}")
_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_ORIGINS: Final = ("environment", "file", "command", "stored", "vault")
_HIGHEST_PORT: Final = 65535
_SHORTEST_S: Final = 5
_LONGEST_S: Final = 7 * 86_400
_BEARER: Final = "bearer"
_PLAIN: Final = FromVault(url="", mount="secret", path="", field="", token="")


def read_secrets(root: Section, folder: Path) -> dict[str, SecretDefinition]:
    """Read `secrets`; files are relative to the file that names them."""
    definitions = root.named("secrets", "secret", pattern=_NAME, rule=_NAME_HELP)
    names = root.names("secrets")
    found = {name: _read(name, section, folder, names) for name, section in definitions}
    taken: dict[str, str] = {}
    for secret in found.values():
        first = taken.setdefault(secret.placeholder, secret.name)
        if secret.placeholder and first != secret.name:
            what = f"secrets {shown(first)} and {shown(secret.name)} have one `placeholder`"
            root.problem(root.at("secrets"), what, "give each a variable of its own")
    return found


def _read(
    name: str, section: Section, folder: Path, secrets: Mapping[str, object]
) -> SecretDefinition:
    definition = SecretDefinition(
        name=name,
        origin=_read_origin(section, folder),
        bindings=tuple(_read_bindings(section)),
        placeholder=_read_placeholder(section),
        minting=_read_minting(section, secrets),
    )
    section.close()
    return definition


def _read_placeholder(section: Section) -> str:
    name = section.text("placeholder", pattern=_VARIABLE, rule=_VARIABLE_HELP)
    if name in own_names():
        what = f"`placeholder` of {section.where} cannot be `{name}`: the sandbox sets that itself"
        section.problem(section.at("placeholder"), what, _VARIABLE_HELP)
    return name


def _read_origin(section: Section, folder: Path) -> SecretOrigin:
    found = [key for key in _ORIGINS if key in section]
    refresh_s = section.whole("refresh", least=_SHORTEST_S, most=_LONGEST_S)
    if len(found) != 1:
        named = " and ".join(f"`{key}`" for key in found)
        what = f"both {named}" if found else f"none of {', '.join(f'`{key}`' for key in _ORIGINS)}"
        section.problem(section.place, f"{section.where} has {what}", "give exactly one of them")
        return FromStore()
    if refresh_s is not None and found[0] not in {"command", "vault"}:
        what = f"`refresh` of {section.where} has nothing to refresh"
        section.problem(section.at("refresh"), what, "it is for `command` and `vault`")
    match found[0]:
        case "environment":
            return FromEnvironment(_read_variable(section))
        case "file":
            path = section.text("file", pattern=_PATH, rule="the path of a file")
            return FromFile(str(folder.absolute() / path))
        case "command":
            return FromCommand(command=_read_command(section), refresh_s=refresh_s)
        case "stored":
            if not section.says("stored", "true"):
                what = f"`stored` of {section.where} can only be `true`"
                section.problem(section.at("stored"), what)
            return FromStore()
        case _:
            return _read_vault(section, refresh_s)


def _read_variable(section: Section) -> str:
    """A variable's name, bare or as a reference. A value that stands there is not repeated."""
    node = section.node("environment")
    text = node.text if isinstance(node, Text) else ""
    name = sole_reference(text) or text
    if node is not None and not _VARIABLE.fullmatch(name):
        what = f"`environment` of {section.where} is not the name of a variable"
        section.problem(node.place, what, _VARIABLE_HELP)
        return ""
    if node is not None:
        section.reading.secret(name, node.place)
    return name


def _read_command(section: Section) -> tuple[str, ...]:
    node = section.node("command")
    if isinstance(node, Items) and not node.items:
        section.problem(node.place, f"the command of {section.where} is empty", "name a program")
    return tuple(item.value for item in section.items("command"))


def _read_vault(section: Section, refresh_s: int | None) -> FromVault:
    inner = section.section("vault", f"`vault` of {section.where}")
    if inner is None:
        return _PLAIN
    inner.require("url", "path", "field", "token")
    url = read_url(inner, "url")
    if is_exposed(url):
        what = f"{inner.where} would take a secret from a public host without encryption"
        inner.problem(inner.at("url"), what, "use https")
    help_ = "names joined by `/`, without `data/`"
    vault = FromVault(
        url=url,
        mount=inner.text("mount", _PLAIN.mount, pattern=_VAULT_PATH, rule=help_),
        path=inner.text("path", pattern=_VAULT_PATH, rule=help_),
        field=inner.text("field", pattern=_FIELD, rule="the name of a field"),
        token=inner.variable("token") or "",
        namespace=inner.text("namespace", pattern=_VAULT_PATH, rule=help_),
        refresh_s=_PLAIN.refresh_s if refresh_s is None else refresh_s,
    )
    inner.close()
    return vault


def _read_bindings(section: Section) -> Iterable[SecretBinding]:
    node = section.node("bind")
    if node is None:
        return
    where = f"`bind` of {section.where}"
    parts = node.items if isinstance(node, Items) else (node,)
    for part in parts:
        inner = Section(part, where, section.reading, "bind: {host: api.example.com, as: bearer}")
        yield _read_binding(inner)
        inner.close()


def _read_binding(section: Section) -> SecretBinding:
    section.require("host", "as")
    item = section.item("host")
    host = "" if item is None else item.value.lower()
    if item is not None and not is_exact_host(host):
        what = f"`host` of {section.where} cannot be {shown(item.written)}"
        help_ = "write one host's full name, without scheme, port, path or `*`"
        section.problem(item.place, what, help_)
    return SecretBinding(
        host=host,
        port=section.whole("port", HTTPS_PORT, least=1, most=_HIGHEST_PORT) or HTTPS_PORT,
        methods=tuple(sorted(_read_methods(section))),
        path=_read_path(section),
        location=_read_location(section),
        strip=tuple(_read_strip(section)),
    )


def _read_methods(section: Section) -> Iterable[str]:
    for item in section.distinct("methods"):
        if item.value in _METHODS:
            yield item.value
        else:
            what = f"unknown method {shown(item.written)} in {section.where}"
            section.problem(item.place, what, nearest(item.written.upper(), _METHODS))


def _read_path(section: Section) -> str:
    item = section.item("path")
    if item is None:
        return "/"
    if not is_plain(item.value.encode()):
        what = f"`path` of {section.where} cannot be {shown(item.written)}"
        help_ = "begin with `/`; no query and nothing that servers read in different ways"
        section.problem(item.place, what, help_)
    return item.value


def _read_strip(section: Section) -> Iterable[str]:
    for item in section.distinct("strip"):
        if _PARAMETER.fullmatch(item.value) and item.value.lower() not in NOT_FOR_CREDENTIALS:
            yield item.value.lower()
        else:
            what = f"{shown(item.written)} cannot be taken away by {section.where}"
            section.problem(item.place, what, "name a header or a parameter of the query")


_LOCATION_HELP: Final = "`bearer`, {header: NAME, prefix: TEXT}, {query: NAME} or {basic: USER}"


def _read_location(section: Section) -> SecretLocation:
    bearer = InHeader(name="authorization", prefix="Bearer ")
    node = section.node("as")
    if isinstance(node, Text):
        if node.text != _BEARER:
            what = f"unknown place {shown(node.text)} in {section.where}"
            section.problem(node.place, what, _LOCATION_HELP)
        return bearer
    inner = section.section("as", f"`as` of {section.where}", _LOCATION_HELP)
    if inner is None:
        return bearer
    found = [key for key in ("header", "query", "basic") if key in inner]
    if len(found) != 1:
        inner.problem(inner.place, f"{inner.where} needs exactly one place", _LOCATION_HELP)
    prefix = inner.text("prefix", pattern=_PREFIX, rule="printable ASCII, such as `Token `")
    location = _read_place(inner, found[:1], prefix)
    if prefix and not isinstance(location, InHeader):
        inner.problem(inner.at("prefix"), f"`prefix` of {inner.where} is for `header` alone")
    inner.close()
    return location


def _read_place(section: Section, found: list[str], prefix: str) -> SecretLocation:
    match found:
        case ["query"]:
            return InQuery(name=section.text("query", "key", pattern=_PARAMETER, rule=_TOKEN_HELP))
        case ["basic"]:
            help_ = "visible ASCII characters without `:`"
            return AsBasic(user=section.text("basic", "git", pattern=_USER, rule=help_))
        case _:
            help_ = "write the name of one header, for example X-Api-Key"
            name = section.text("header", "x", pattern=_HEADER, rule=help_).lower()
            if name in NOT_FOR_CREDENTIALS:
                what = f"no secret can stand in the header `{name}`"
                section.problem(section.at("header"), what, help_)
            return InHeader(name=name, prefix=prefix)


def _read_minting(section: Section, secrets: Mapping[str, object]) -> Minting | None:
    inner = section.section("mint", f"`mint` of {section.where}")
    if inner is None:
        return None
    inner.require("token_url")
    grant = inner.word("grant", Grant.CLIENT_CREDENTIALS)
    if grant is Grant.CLIENT_CREDENTIALS:
        inner.require("client")
    url = read_url(inner, "token_url", query=True)
    if is_exposed(url):
        what = f"{inner.where} would send a secret to a public host without encryption"
        inner.problem(inner.at("token_url"), what, "use https")
    plain = Minting(grant=grant, token_url=url)
    item = inner.item("client_secret")
    is_known = item is not None and inner.reference(item, "secret", secrets)
    if item is not None and grant is Grant.CLIENT_CREDENTIALS:
        what = f"`client_secret` of {inner.where} is for `token_exchange` alone"
        inner.problem(item.place, what, "the secret itself is the client's")
    minting = Minting(
        grant=grant,
        token_url=url,
        client=inner.text("client", pattern=_TOKEN, rule=_TOKEN_HELP),
        client_secret=item.value if item is not None and is_known else "",
        scopes=tuple(item.value for item in inner.distinct("scopes")),
        audience=inner.text("audience", pattern=_TOKEN, rule=_TOKEN_HELP),
        resource=inner.text("resource", pattern=_TOKEN, rule=_TOKEN_HELP),
        subject_token_type=inner.text(
            "subject_token_type", plain.subject_token_type, pattern=_TOKEN, rule=_TOKEN_HELP
        ),
    )
    inner.close()
    return minting
