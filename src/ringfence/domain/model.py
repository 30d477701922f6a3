"""The words of models: providers, aliases and the wire dialects they speak."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import msgspec

from ringfence.domain.price import RateCard
from ringfence.domain.tool_dialect import ToolDialect


class ProviderProtocol(StrEnum):
    """The family of endpoints a provider offers."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


class OutputLimitField(StrEnum):
    """What a chat server calls the output limit; one that does not know a name ignores it."""

    MAX_TOKENS = "max_tokens"
    MAX_COMPLETION_TOKENS = "max_completion_tokens"


class Dialect(StrEnum):
    """The wire form of one request; each endpoint of the model gateway has one."""

    CHAT = "chat"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"
    MESSAGES = "messages"
    COUNT_TOKENS = "count_tokens"
    GEMINI = "gemini"


class UpstreamKind(StrEnum):
    """What of an upstream is watched and paced."""

    PROVIDER = "provider"
    """Whether it can be reached, and how fast it may be called."""
    MODEL = "model"
    """Whether it answers, and how fast it may be called."""
    CREDENTIAL = "credential"
    """Whether a provider accepts ours."""
    TOOL = "tool"
    """Whether a tool, or a whole server of them, answers."""
    HOST = "host"
    """Whether a host answers that is reached through egress."""


class UpstreamKey(NamedTuple):
    """One thing that is watched. What fails for one organisation says nothing to another (I7)."""

    organisation: str
    kind: UpstreamKind
    name: str


class UpstreamStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How one upstream of an organisation stands with the workers of a plane.

    `state` is that of its breaker, `failures` those in a row, `retry_s` the seconds until a probe.
    `going` and `waiting` are calls, where a pace counts them.
    """

    kind: UpstreamKind
    name: str
    state: str = "closed"
    failures: int = 0
    retry_s: float = 0.0
    cause: str = ""
    going: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast calls may go to one provider or model, all agents together; None is no limit.

    A call that must wait does so for at most `queue_seconds`; `queued` is how many calls of one
    agent may wait. `agent_share` is the part of it, above 0 and at most 1, that one agent may take
    while nobody else takes any; of what is left then another may take that part, and so on.
    """

    requests_per_minute: int | None = None
    concurrent: int | None = None
    queue_seconds: float = 10.0
    queued: int = 100
    agent_share: float = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRule:
    """After how many failures in a row a breaker opens (None: never), and for how long at first.

    Each probe that fails doubles the time.
    """

    failures: int | None = 5
    open_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An upstream that answers model calls.

    `credential` names a secret (the secret's value is held by the secret store alone);
    `query` is fixed and sent with every request, for example Azure's `api-version`.
    `betas` lists the beta features that agents may ask for. `credential_header` names the header
    that carries the credential where it is not the protocol's own (Azure: `api-key`).
    `output_limit_field` is written into a chat request that states no limit.
    """

    name: str
    protocol: ProviderProtocol
    base_url: str
    credential: str | None = None
    credential_header: str | None = None
    output_limit_field: OutputLimitField = OutputLimitField.MAX_COMPLETION_TOKENS
    tool_dialect: ToolDialect | None = None
    """What its servers refuse in the tools of a request; None where nobody knows."""
    query: tuple[tuple[str, str], ...] = ()
    betas: frozenset[str] = frozenset()
    connect_timeout_s: float = 10.0
    head_timeout_s: float = 600.0
    """From the request to the whole head of the answer; the default of the openai SDK."""
    idle_timeout_s: float = 300.0
    total_timeout_s: float = 3600.0
    pace: Pace | None = None
    breaker: BreakerRule = BreakerRule()


@dataclass(frozen=True, slots=True, kw_only=True)
class InputBound:
    """How the input of a call is bounded before it is made.

    Starts at `initial_tokens_per_byte` (1.0 is exact: no tokenizer makes more tokens than bytes)
    and stays there, unless it `learns`: then it is the highest ratio seen, times 1 +
    `margin_ratio`, which agents whose text becomes denser can exceed.
    """

    initial_tokens_per_byte: float = 1.0
    margin_ratio: float = 0.25
    learns: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """An alias that agents ask for, and where its calls go.

    `upstream` is the name the provider knows; `fallback` names aliases tried when the provider
    fails. `price` is an override; None means the published price data are asked. `ceiling` is what
    a call is priced at when no price is known. The `*_tokens` bounds are per image or per other
    medium in a request; None refuses such parts. `hosted_uses` bounds how often a provider runs
    `hosted_tools` in one call and `hosted_tokens` the input that each use adds; None refuses such
    tools. `allow_priced_fields` names request fields that
    change the price and are bounded by `price`.
    """

    name: str
    provider: str
    upstream: str
    fallback: tuple[str, ...] = ()
    price: RateCard | None = None
    ceiling: RateCard | None = None
    input_bound: InputBound = field(default_factory=InputBound)
    image_tokens: int | None = None
    media_tokens: int | None = None
    hosted_tools: frozenset[str] = frozenset()
    hosted_uses: int | None = None
    hosted_tokens: int | None = None
    allow_priced_fields: frozenset[str] = frozenset()
    pace: Pace | None = None
    breaker: BreakerRule = BreakerRule()
