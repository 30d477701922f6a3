"""Tools that agents' clients declare in model requests: their drift, and what providers refuse.

Frameworks generate these, so that an upgrade changes them overnight. The array is read once for
each organisation and its very bytes; a call whose array is known pays for one comparison.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Final, final

import msgspec

from ringfence.analysis.tool_dialect.check import objections
from ringfence.analysis.tool_dialect.repair import repaired
from ringfence.analysis.tool_pin import pin_of
from ringfence.decisions import reason
from ringfence.domain.agent import Agent, DeclaredTools
from ringfence.domain.error import PeerError
from ringfence.domain.exchange import ModelRequest
from ringfence.domain.model import Dialect
from ringfence.domain.tool import ToolDefinition
from ringfence.domain.tool_dialect import ToolDialect
from ringfence.domain.verdict import Reason
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.finding import FindingLog
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.tool_registry import ToolRegistry
from ringfence.protocols import tool_choice, tool_declaration
from ringfence.protocols.memo import Memo
from ringfence.protocols.request import LocatedRequest
from ringfence.protocols.tool_declaration import Declaration, Mended, Place
from ringfence.protocols.tool_definition import read_definition

Dialects = tuple[ToolDialect, ...]
_STRICT: Final = {
    ToolDialect.OPENAI: ToolDialect.OPENAI_STRICT,
    ToolDialect.ANTHROPIC: ToolDialect.ANTHROPIC_STRICT,
}
_CLIENT: Final = re.compile(r"[A-Za-z0-9.-]{1,40}")
_ARRAYS_KEPT: Final = 32
"""How many arrays of one organisation and dialect are remembered, with all that they hold."""
_FREE_LOOKS: Final = 50
_LOOK_EVERY_US: Final = 10_000_000
_CLIENTS_KEPT: Final = 20
_OTHERS: Final = "others"
_CALLERS_KEPT: Final = 1000
"""How many agents with their clients are known to have declared one array."""


class Repairs(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent instead of an array; `told` says what was done, each as `tool: what`."""

    raw: bytes
    left_out: frozenset[str]
    told: tuple[str, ...]


class Amended(msgspec.Struct, frozen=True, kw_only=True):
    """A request with other tools than its agent declared. `is_new`: not noticed before."""

    request: ModelRequest
    repairs: Repairs
    is_new: bool


@final
class _Array:
    """One `tools` array as it was read, and what is known of it."""

    __slots__ = ("_pins", "callers", "declarations", "dialect", "noticed", "raw", "repairs")

    def __init__(self, dialect: Dialect, raw: bytes) -> None:
        self.dialect = dialect
        self.raw = raw
        self.declarations: tuple[Declaration, ...] = tool_declaration.read(dialect, raw)
        self.repairs: dict[Dialects, Repairs | None] = {}
        self.callers: set[tuple[str, str]] = set()
        self.noticed: set[tuple[str, Dialects]] = set()
        self._pins: dict[str, str] | None = None

    def definitions(self, source: str) -> list[ToolDefinition]:
        """What is declared as a server would list it."""
        return [found for each in self.declarations for found in _definition(source, each)]

    def pins(self) -> Mapping[str, str]:
        """The pin of each tool, by its name."""
        if self._pins is None:
            self._pins = {each.key.name: pin_of(each) for each in self.definitions("")}
        return self._pins


@final
class Declarations:
    """Looks at the tools of model calls; one for each worker."""

    def __init__(self, registry: ToolRegistry, findings: FindingLog) -> None:
        """Nothing was declared yet."""
        self._registry = registry
        self._findings = findings
        self._arrays: dict[tuple[str, Dialect], Memo[_Array]] = {}
        self._clients: dict[str, dict[str, _Pace]] = {}

    def look(self, caller: Caller, client: str, request: ModelRequest) -> Amended | Reason | None:
        """What must be sent instead of a request, or why not; None to send it as it is.

        Ask only for requests that declare tools.
        """
        if not isinstance(request, LocatedRequest) or "tools" not in request.spans:
            return None
        start, end = request.spans["tools"]
        runtime = caller.runtime
        agent, organisation = runtime.agent, runtime.organisation.id
        array = self._memo(organisation, request.dialect).read(request.body[start:end])
        if agent.declared_tools is not DeclaredTools.IGNORE:
            if (runtime.id, client) not in array.callers:
                self._observe(organisation, runtime.id, client, array)
            if agent.declared_tools is DeclaredTools.HOLD:
                held = self._held(organisation, agent, runtime.id, client, array)
                if held is not None:
                    return held
        route = runtime.routes.get(request.model)
        dialects = route.tool_dialects if route is not None else ()
        if not dialects:
            return None
        if dialects not in array.repairs:
            array.repairs[dialects] = _repair_for_all(array, dialects)
        repairs = array.repairs[dialects]
        if repairs is None:
            return None
        impossible = _impossible(agent, array, repairs, request)
        if impossible is not None:
            return impossible
        mark = (runtime.id, dialects)
        is_new = mark not in array.noticed and len(array.noticed) < _CALLERS_KEPT
        array.noticed.add(mark)
        sent = tool_declaration.with_tools(request, repairs.raw, repairs.left_out)
        return Amended(request=sent, repairs=repairs, is_new=is_new)

    def found(self, live: LiveInvocation, amended: Amended) -> None:
        """Put on the record what was changed; its invocation must be there already."""
        if not amended.is_new:
            return
        left_out = ", ".join(sorted(amended.repairs.left_out))
        detail = {"left_out": left_out, "done": "; ".join(amended.repairs.told)[:4000]}
        self._findings.found(live, "tool_refused_by_provider", detail)

    def _memo(self, organisation: str, dialect: Dialect) -> Memo[_Array]:
        memo = self._arrays.get((organisation, dialect))
        if memo is None:
            memo = self._arrays[organisation, dialect] = Memo(
                partial(_Array, dialect), entries=_ARRAYS_KEPT
            )
        return memo

    def _observe(self, organisation: str, agent: str, client: str, array: _Array) -> None:
        pace = self._pace(agent, client)
        if not pace.may_look(self._findings.clock.monotonic_us()):
            return
        if len(array.callers) < _CALLERS_KEPT:
            array.callers.add((agent, client))
        source = pace.source
        definitions = [each for one in array.declarations for each in _definition(source, one)]
        self._registry.observe(organisation, source, definitions, client[:120], array.dialect.value)

    def _pace(self, agent: str, client: str) -> "_Pace":
        """How often an agent's client is looked at; an agent with many has one for the rest."""
        known = self._clients.setdefault(agent, {})
        source = source_of(agent, client)
        if source not in known and len(known) >= _CLIENTS_KEPT:
            source = source_of(agent, _OTHERS)
        return known.setdefault(source, _Pace(source))

    def _held(
        self, organisation: str, agent: Agent, agent_id: str, client: str, array: _Array
    ) -> Reason | None:
        source = self._pace(agent_id, client).source
        accepted = self._registry.pins(organisation, source)
        for name, pin in array.pins().items():
            if accepted.get(name) != pin:
                is_new = name not in accepted
                why = "nobody has accepted it" if is_new else "it is not defined as it was accepted"
                return reason.declared_tool_held(agent, f"{source}__{name}", why)
        return None


def _impossible(
    agent: Agent, array: _Array, repairs: Repairs, request: LocatedRequest
) -> Reason | None:
    """Why nothing sensible is left of a request without the tools that are left out."""
    if not repairs.left_out:
        return None
    if len(repairs.left_out) == len(array.declarations) == len(request.tools):
        return reason.no_tools_left(agent, repairs.told[0])
    gone = repairs.left_out & tool_choice.chosen(request)
    if not gone:
        return None
    name = min(gone)
    told = next((told for told in repairs.told if told.startswith(f"{name}:")), name)
    return reason.chosen_tool_refused(agent, told)


@final
class _Pace:
    """Bounds what a client costs that declares other tools at each call.

    The first arrays are all looked at; then one every few seconds is enough to see a change.
    """

    __slots__ = ("_last_us", "_looks", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self._looks = 0
        self._last_us = 0

    def may_look(self, now_us: int) -> bool:
        if self._looks >= _FREE_LOOKS and now_us - self._last_us < _LOOK_EVERY_US:
            return False
        self._looks += 1
        self._last_us = now_us
        return True


def source_of(agent: str, client: str) -> str:
    """The source of what an agent's client declares, whatever its version is."""
    match = _CLIENT.match(client)
    return f"agent/{agent}/{match[0] if match else 'unnamed'}"


def _definition(source: str, each: Declaration) -> list[ToolDefinition]:
    members = {
        "name": each.name,
        "description": each.description,
        "inputSchema": each.schema if isinstance(each.schema, dict) else {},
    }
    try:
        return [read_definition(source, msgspec.json.encode(members))]
    except (PeerError, TypeError):
        return []


def _repair_for_all(array: _Array, dialects: Dialects) -> Repairs | None:
    """What suits every provider that the call may go to: mended for one after the other."""
    told: list[str] = []
    left_out: frozenset[str] = frozenset()
    raw = array.raw
    for dialect in dialects:
        # What was mended for one provider is read again only where another one follows.
        repairs = _repair(array if raw is array.raw else _Array(array.dialect, raw), dialect)
        if repairs is not None:
            told += repairs.told
            left_out |= repairs.left_out
            raw = repairs.raw
    return Repairs(raw=raw, left_out=left_out, told=tuple(told)) if told else None


def _repair(array: _Array, dialect: ToolDialect) -> Repairs | None:
    """What is sent to such a provider instead of an array; None for the array itself."""
    changes: dict[Place, Mended | None] = {}
    left_out: set[str] = set()
    told: list[str] = []
    for each in array.declarations:
        own = _own_dialect(each, dialect)
        found = objections(own, each.name, each.schema)
        if not found:
            continue
        repair = repaired(own, each.name, each.schema)
        if repair is None:
            changes[each.place] = None
            left_out.add(each.name)
            told.append(f"{each.name}: left out: {found[0].what} ({found[0].place})")
        else:
            changes[each.place] = Mended(
                dialect=repair.dialect, schema=repair.schema, told=repair.told
            )
            told += [f"{each.name}: {done}" for done in repair.done]
    return _rewritten(array, changes, left_out, told) if changes else None


def _rewritten(
    array: _Array, changes: Mapping[Place, Mended | None], left_out: set[str], told: list[str]
) -> Repairs | None:
    try:
        raw = tool_declaration.rewrite(array.dialect, array.raw, changes)
    except (ValueError, PeerError):
        return None  # a number that we cannot write again: the provider says what it thinks of it
    return Repairs(raw=raw, left_out=frozenset(left_out), told=tuple(told))


def _own_dialect(each: Declaration, dialect: ToolDialect) -> ToolDialect:
    if dialect is ToolDialect.GEMINI and each.field != "parameters":
        return ToolDialect.GEMINI_JSON
    return _STRICT.get(dialect, dialect) if each.is_strict else dialect
