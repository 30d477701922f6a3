"""Providers: the upstreams that answer model calls."""

import re
from dataclasses import replace
from urllib.parse import urlsplit

from ringfence.config.definition.address import is_exposed, read_url
from ringfence.config.definition.pace import read_breaker, read_pace
from ringfence.config.definition.timeout import read_timeouts
from ringfence.config.problem import CREDENTIAL_WORD, nearest, shown
from ringfence.config.section import Section
from ringfence.domain.model import OutputLimitField, Provider, ProviderProtocol
from ringfence.domain.tool_dialect import ToolDialect

_TOKEN = re.compile(r"[!-~]{1,128}")
_TOKEN_HELP = "use visible ASCII characters without spaces"  # noqa: S105 (a help text)
_LONGEST_S = 3600
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
NOT_FOR_CREDENTIALS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "te", "upgrade"}
)
_NEWER_LIMIT_HOSTS = (".openai.com", ".openai.azure.com", ".cognitiveservices.azure.com")
_TOOL_DIALECTS = (
    ("api.openai.com", ToolDialect.OPENAI),
    (".openai.azure.com", ToolDialect.OPENAI),
    ("api.anthropic.com", ToolDialect.ANTHROPIC),
    ("generativelanguage.googleapis.com", ToolDialect.GEMINI),
    ("aiplatform.googleapis.com", ToolDialect.GEMINI),
    ("api.mistral.ai", ToolDialect.MISTRAL),
)
_NAMED_DIALECTS = (
    ToolDialect.OPENAI,
    ToolDialect.ANTHROPIC,
    ToolDialect.GEMINI,
    ToolDialect.BEDROCK,
    ToolDialect.MISTRAL,
)
_NO_DIALECT = "none"
_ADDED_PATHS = {ProviderProtocol.ANTHROPIC: "/v1", ProviderProtocol.GEMINI: "/v1beta"}
"""What Ringfence itself puts between the base URL and the endpoint."""


def read_providers(root: Section) -> dict[str, Provider]:
    """Read `providers`."""
    return {name: _read(name, section) for name, section in root.named("providers", "provider")}


def _read(name: str, section: Section) -> Provider:
    section.require("protocol", "base_url")
    base_url = read_url(section, "base_url")
    provider = Provider(
        name=name,
        protocol=section.word("protocol", ProviderProtocol.OPENAI),
        base_url=base_url,
        credential=section.credential(),
        credential_header=_read_header(section),
        output_limit_field=section.word("output_limit_field", _limit_field(base_url)),
        tool_dialect=_read_tool_dialect(section, base_url),
        query=_read_query(section),
        betas=frozenset(_read_betas(section)),
        pace=read_pace(section),
        breaker=read_breaker(section),
    )
    provider = _with_timeouts(provider, section)
    section.close()
    _judge(provider, section)
    return provider


def _limit_field(base_url: str) -> OutputLimitField:
    """OpenAI's own models want the newer name; most other servers know only the older one."""
    host = (urlsplit(base_url).hostname or "").lower()
    if host.endswith(_NEWER_LIMIT_HOSTS):
        return OutputLimitField.MAX_COMPLETION_TOKENS
    return OutputLimitField.MAX_TOKENS


def _read_tool_dialect(section: Section, base_url: str) -> ToolDialect | None:
    """Known of the vendors' own hosts; of any other server only if the configuration says so."""
    item = section.item("tool_dialect")
    if item is None:
        host = (urlsplit(base_url).hostname or "").lower()
        return next((known for ending, known in _TOOL_DIALECTS if host.endswith(ending)), None)
    words = {dialect.value: dialect for dialect in _NAMED_DIALECTS}
    if item.value not in {*words, _NO_DIALECT}:
        what = f"unknown tool_dialect {shown(item.written)} in {section.where}"
        section.problem(item.place, what, nearest(item.written, [*words, _NO_DIALECT]))
    return words.get(item.value)


def _judge(provider: Provider, section: Section) -> None:
    added = _ADDED_PATHS.get(provider.protocol)
    if added and provider.base_url.endswith(added):
        what = f"the `base_url` of {section.where} ends in `{added}`"
        section.problem(section.at("base_url"), what, "leave it out; it is added to every call")
    if provider.credential_header and provider.credential is None:
        what = f"`credential_header` of {section.where} has no `credential`"
        section.problem(section.at("credential_header"), what, "add one, or remove the header")
    if provider.credential and is_exposed(provider.base_url):
        what = f"{section.where} sends its credential over http without encryption"
        section.reading.notes.add(section.at("base_url"), what, "use https")


def _read_header(section: Section) -> str | None:
    help_ = "write the name of one header, for example api-key"
    name = section.text("credential_header", pattern=_HEADER, rule=help_).lower()
    if name in NOT_FOR_CREDENTIALS:
        what = f"`credential_header` of {section.where} cannot be `{name}`"
        section.problem(section.at("credential_header"), what, help_)
    return name or None


def _read_query(section: Section) -> tuple[tuple[str, str], ...]:
    inner = section.section("query", f"`query` of {section.where}")
    if inner is None:
        return ()
    pairs: list[tuple[str, str]] = []
    for key in inner:
        if CREDENTIAL_WORD.search(key):
            what = f"{shown(key)} cannot stand in `query` of {section.where}"
            inner.problem(inner.at(key), what, 'use `credential: "${NAME}"`')
            continue
        if not _TOKEN.fullmatch(key):
            inner.problem(inner.at(key), f"{shown(key)} cannot be a parameter", _TOKEN_HELP)
        pairs.append((key, inner.text(key, pattern=_TOKEN, rule=_TOKEN_HELP)))
    return tuple(pairs)


def _read_betas(section: Section) -> list[str]:
    items = section.distinct("betas")
    for item in items:
        if not _TOKEN.fullmatch(item.value) or "," in item.value:
            section.problem(item.place, f"a beta of {section.where} is not valid", _TOKEN_HELP)
    return [item.value for item in items]


def _with_timeouts(provider: Provider, section: Section) -> Provider:
    usual = {
        "connect": provider.connect_timeout_s,
        "head": provider.head_timeout_s,
        "idle": provider.idle_timeout_s,
        "total": provider.total_timeout_s,
    }
    found = read_timeouts(section, usual, longest_s=_LONGEST_S)
    return replace(
        provider,
        connect_timeout_s=found["connect"],
        head_timeout_s=found["head"],
        idle_timeout_s=found["idle"],
        total_timeout_s=found["total"],
    )
