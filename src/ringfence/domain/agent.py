"""The words of agents: who they are, what they may do and how far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ringfence.domain.budget import Budget
from ringfence.domain.caller import CallerTier
from ringfence.domain.topic import TopicRules


class Category(StrEnum):
    """How freely an agent plans; sets default limits and what must be approved."""

    WORKFLOW = "workflow"
    BOUNDED = "bounded"
    OPEN = "open"


class AgentState(StrEnum):
    """Where an agent stands; only an active one is admitted."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    RETIRED = "retired"


class Autonomy(StrEnum):
    """What an agent may do without a person."""

    OBSERVE = "observe"
    ASK_ALWAYS = "ask_always"
    ASK_IRREVERSIBLE = "ask_irreversible"
    ACT_IN_SCOPE = "act_in_scope"


class SandboxTier(StrEnum):
    """The least isolation an agent may be run with."""

    STRICT = "strict"
    REDUCED = "reduced"
    NONE = "none"


class Protection(StrEnum):
    """What becomes of files that would run later and are not there when a sandbox starts."""

    SET_ASIDE = "set_aside"
    """They may be made, and are set aside after the run."""
    MASK = "mask"
    """Empty folders stand in their places meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRules:
    """What an agent's sandbox is made of, beside its workspace and the system's own programs.

    Paths are absolute, those of `hidden` relative to the workspace. `processes` counts threads too;
    `memory_bytes` bounds all of a sandbox together, None is what the machine can bear;
    `address_bytes` bounds each process's address space, None does not; `temporary_bytes` bounds
    each folder that is in memory; `processor_percent` is what all of it may run together, where 100
    is one processor and None no bound; `words_bytes` is how much of the words of its commands the
    record keeps whole. With `is_group_required` it starts only where a control
    group bounds it.
    """

    read_only: tuple[str, ...] = ()
    read_write: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    protected: Protection = Protection.SET_ASIDE
    processes: int = 1024
    file_bytes: int = 8 * 1024**3
    memory_bytes: int | None = None
    address_bytes: int | None = None
    temporary_bytes: int = 1024**3
    processor_percent: int | None = None
    words_bytes: int = 64 * 1024**2
    is_group_required: bool = False


class StoreFailure(StrEnum):
    """What happens while the shared store is away (I4)."""

    CLOSED = "closed"
    OPEN = "open"


class InvocationRule(StrEnum):
    """Whether calls without an invocation token are grouped (`open`) or refused (`declared`)."""

    OPEN = "open"
    DECLARED = "declared"


class DeclaredTools(StrEnum):
    """What becomes of tools that the agent's own client declares in model requests."""

    IGNORE = "ignore"
    OBSERVE = "observe"
    """A tool that changes is put on the record as a finding."""
    HOLD = "hold"
    """Calls with a tool that has changed are refused until somebody has accepted it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """After how many equal rounds a loop is hinted at and stopped; None means never."""

    hint: int | None = 3
    stop: int | None = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopLimits:
    """When an invocation that repeats itself is told so, and when it is stopped.

    `tools` holds patterns of tool names with thresholds of their own, in the order of the file; the
    first that fits counts. `no_progress` is the number of rounds in a row that bring nothing which
    the conversation has not seen; half of it is the hint. `retries` is how often one request may
    fail in a row. None means never.
    """

    usual: Threshold = Threshold()
    tools: tuple[tuple[str, Threshold], ...] = ()
    no_progress: int | None = 24
    retries: int | None = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Counted limits of one invocation and its tree; None means no limit of that kind.

    `output_tokens` caps the output of one call; `default_output_tokens` is written into a request
    that states no limit of its own, and never exceeds that cap. `result_bytes` bounds one answer;
    `idle_seconds` is how long an invocation stays open without a call; its default is the session
    time-out that web analytics made usual. `tokens` are of input and output over all calls,
    `sub_agents` those that were ever opened. `http_bytes` are of all requests through egress with
    their answers, `http_call_bytes` of one of them.
    """

    model_calls: int | None = None
    tool_calls: int | None = None
    calls_per_tool: int | None = None
    commands: int | None = None
    http_requests: int | None = None
    http_bytes: int | None = None
    http_call_bytes: int = 256 * 1024 * 1024
    output_tokens: int | None = None
    default_output_tokens: int = 4096
    tokens: int | None = None
    depth: int = 0
    sub_agents: int = 0
    sub_agents_alive: int | None = None
    seconds: int | None = None
    open_invocations: int = 1000
    new_invocations_per_minute: int = 600
    result_bytes: int | None = None
    idle_seconds: int = 1800


_GIB = 1024**3

CATEGORY_DEFAULTS: Mapping[Category, Limits] = {
    Category.WORKFLOW: Limits(
        model_calls=50,
        tool_calls=100,
        calls_per_tool=50,
        commands=5_000,
        http_requests=2_000,
        http_bytes=_GIB,
        default_output_tokens=2048,
        seconds=900,
    ),
    Category.BOUNDED: Limits(
        model_calls=200,
        tool_calls=400,
        calls_per_tool=200,
        commands=20_000,
        http_requests=20_000,
        http_bytes=10 * _GIB,
        default_output_tokens=4096,
        seconds=3600,
    ),
    Category.OPEN: Limits(
        model_calls=2000,
        tool_calls=4000,
        calls_per_tool=2000,
        commands=500_000,
        http_requests=500_000,
        http_bytes=100 * _GIB,
        default_output_tokens=16_384,
        depth=3,
        sub_agents=50,
        seconds=28_800,
    ),
}
"""What holds where the configuration says nothing.

Ours: a runaway ends within the hour (a working day for planners) and no normal run is cut.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an agent declares to use: model aliases, and patterns for everything else."""

    models: frozenset[str] = frozenset()
    tools: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TierRule:
    """What holds for an agent's calls of one caller tier beside its own rules; only narrower.

    None leaves the agent's own as it is. Counted limits are those of the whole tree.
    """

    models: frozenset[str] | None = None
    limits: Limits | None = None
    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A registered thing that acts. `id` is empty until the state store has assigned it."""

    name: str
    owner: str
    team: str | None
    category: Category
    purpose: str
    id: str = ""
    version: str = "1"
    scope: Scope = field(default_factory=Scope)
    limits: Limits = field(default_factory=Limits)
    loops: LoopLimits = LoopLimits()
    budgets: tuple[Budget, ...] = ()
    autonomy: Autonomy = Autonomy.ASK_IRREVERSIBLE
    sandbox: SandboxTier = SandboxTier.STRICT
    sandbox_rules: SandboxRules = SandboxRules()
    on_store_failure: StoreFailure = StoreFailure.CLOSED
    invocations: InvocationRule = InvocationRule.OPEN
    provider_storage: str | None = None
    secrets: frozenset[str] = frozenset()
    """Names of the secrets that are added to its requests."""
    declared_tools: DeclaredTools = DeclaredTools.OBSERVE
    escalate_to: str = ""
    topics: TopicRules | None = None
    """Its domain; None where it takes any task."""
    tiers: Mapping[CallerTier, TierRule] = field(default_factory=dict)
