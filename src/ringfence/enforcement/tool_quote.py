"""What a tool call comes to before it is counted: in scope, as pinned, well-formed, and allowed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import final
from weakref import WeakKeyDictionary

import msgspec

from ringfence.analysis.schema_check import SchemaCheck
from ringfence.decisions import permission, reason, scope
from ringfence.decisions.permission import METHODS
from ringfence.decisions.policy.refusal import refusal_of
from ringfence.decisions.rights import Patterns
from ringfence.domain.action import ActionKind
from ringfence.domain.agent import Agent
from ringfence.domain.error import PeerError
from ringfence.domain.policy import PolicyDecision, PolicyVerdict
from ringfence.domain.tool import PermissionTier, ToolKey, ToolServer, ToolState
from ringfence.domain.verdict import Reason
from ringfence.enforcement import built_in
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.lack import Lack, Lacking
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.policy import Policies, question_of
from ringfence.enforcement.runtime import AgentRuntime
from ringfence.enforcement.tool_registry import Registered, ToolRegistry

CALL = "tools/call"
"""The method that calls a tool; everything else of a server is read by a method of its own."""
_CHECKS_KEPT = 4_096
_SETTLED_KEPT = 64
"""Of one agent: its servers, and runs that differ in what policies know of them."""
_MINUTE_US = 60_000_000


class ToolQuote(msgspec.Struct, frozen=True, kw_only=True):
    """A call that may be made, as far as it does not depend on how many there were."""

    server: ToolServer
    tool: Registered | None
    """None for what is no tool: resources, prompts, completion, and what is built in."""
    arguments: bytes
    """What is dispatched, and what policies and approvals are about."""
    tier: PermissionTier
    decision: PolicyDecision
    unusable: str = ""
    """Why a schema of the tool checks nothing; empty if its schemas are as they should be."""

    @property
    def pin(self) -> str:
        """The digest of the definition in force; empty if there is none."""
        return "" if self.tool is None else self.tool.pin

    @property
    def asks(self) -> bool:
        """Whether a person must approve it."""
        return self.decision.verdict is PolicyVerdict.ASK


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settled:
    """The tools of a server that an agent may use.

    `basis` is everything that the answer was found with, `minute` when: policies know the time to
    the minute (`decisions.policy.fact`).
    """

    basis: tuple[object, ...]
    minute: int
    tools: tuple[Registered, ...]


_Key = tuple[object, ...]
"""A server, and what of a run it depends on what the agent may use there."""


def _alike(live: LiveInvocation | None) -> _Key:
    """What policies can know of a run before a call is made (`enforcement.policy.question_of`)."""
    if live is None:
        return ()
    runtime = live.runtime
    return (live.chain, runtime.tiers, runtime.principal, live.tools, live.tree.seen)


def _are_same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return all(a is b for a, b in zip(one, other, strict=True))


@final
class ToolQuotes:
    """Finds what governs a tool call; counts and reserves nothing."""

    def __init__(self, *, tools: ToolRegistry, policies: Policies) -> None:
        """No schema is compiled yet."""
        self._tools = tools
        self._policies = policies
        self._checks: dict[bytes, SchemaCheck] = {}
        self._settled: WeakKeyDictionary[AgentRuntime, dict[_Key, _Settled]] = WeakKeyDictionary()

    def quote(  # noqa: PLR0913, PLR0917 (a call has these parts)
        self,
        caller: Caller,
        live: LiveInvocation,
        key: ToolKey,
        operation: str,
        arguments: bytes,
        now_us: int,
    ) -> ToolQuote | Reason | Lacking:
        """The quote of a call, or why it may not be made."""
        runtime = caller.runtime
        agent, organisation = runtime.agent, runtime.organisation
        bounds = (*runtime.tools, *live.tools)
        server = scope.tool_in_scope(agent, organisation, key, bounds)
        if isinstance(server, Reason):
            return server
        tool: Registered | None = None
        if operation != CALL:
            tier = METHODS
        elif server is scope.BUILT_IN or server.is_run_by_agent:
            tier = permission.tier_of(server, key.name)
        else:
            found = self._found(runtime, key)
            if not isinstance(found, Registered):
                return found
            tool, tier = found, found.tier
            inward = self._inward(agent, server, tool, arguments)
            if isinstance(inward, Reason):
                return inward
            arguments = inward
        question = question_of(
            live,
            ActionKind.TOOL_CALL,
            key.merged,
            tier=tier,
            now_us=now_us,
            arguments=arguments,
            seen=live.tree.seen,
        )
        decision = self._policies.decide(question, None if tool is None else tool.facts)
        if decision.verdict is PolicyVerdict.DENY:
            return refusal_of(agent, question, decision)
        is_built_in = operation == CALL and server is scope.BUILT_IN
        judged = built_in.judged(runtime, key, arguments, decision) if is_built_in else decision
        if isinstance(judged, Reason):
            return judged
        return ToolQuote(
            server=server,
            tool=tool,
            arguments=arguments,
            tier=tier,
            decision=judged,
            unusable="" if tool is None else self._unusable(tool),
        )

    def usable(
        self, caller: Caller, live: LiveInvocation | None, servers: Iterable[str], now_us: int
    ) -> list[Registered]:
        """The tools of these servers that a call could be allowed of, in their own order."""
        return [tool for server in servers for tool in self.settled(caller, live, server, now_us)]

    def settled(
        self, caller: Caller, live: LiveInvocation | None, server: str, now_us: int
    ) -> Sequence[Registered]:
        """The tools of one server for a caller, in a run or outside of any.

        One object as long as nothing changes that the answer depends on, and for all runs that are
        alike in that, so that whoever writes it out need not do it twice.
        """
        runtime = caller.runtime
        organisation = runtime.organisation
        basis = (
            runtime.agent,
            organisation,
            runtime.tools,
            self._policies.of(organisation.id),
            self._tools.standing(organisation.id, server),
        )
        minute = now_us // _MINUTE_US
        kept = self._settled.get(runtime)
        if kept is None:
            kept = self._settled[runtime] = {}
        key = (server, *_alike(live))
        known = kept.get(key)
        if known is not None and known.minute == minute and _are_same(known.basis, basis):
            return known.tools
        bounds = runtime.tools if live is None else (*runtime.tools, *live.tools)
        tools = tuple(self._listable(runtime, live, server, bounds, now_us))
        if known is not None and known.tools == tools:
            tools = known.tools
        elif known is None and len(kept) >= _SETTLED_KEPT:
            del kept[next(iter(kept))]
        kept[key] = _Settled(basis=basis, minute=minute, tools=tools)
        return tools

    def _listable(
        self,
        runtime: AgentRuntime,
        live: LiveInvocation | None,
        server: str,
        bounds: Sequence[Patterns | None],
        now_us: int,
    ) -> Iterator[Registered]:
        for tool in self._tools.listed(runtime.organisation.id, server):
            is_there = tool.state is ToolState.OK and not tool.is_hidden
            if is_there and self._may_list(runtime, live, tool, bounds, now_us):
                yield tool

    def may_ask(
        self, caller: Caller, live: LiveInvocation | None, key: ToolKey, now_us: int
    ) -> bool:
        """Whether a server could be asked by that method, whatever about: `key` names both."""
        runtime = caller.runtime
        bounds = (*runtime.tools, *(live.tools if live is not None else ()))
        return self._may_list(runtime, live, key, bounds, now_us)

    def _may_list(
        self,
        runtime: AgentRuntime,
        live: LiveInvocation | None,
        tool: Registered | ToolKey,
        bounds: Sequence[Patterns | None],
        now_us: int,
    ) -> bool:
        key = tool.key if isinstance(tool, Registered) else tool
        found = scope.tool_in_scope(runtime.agent, runtime.organisation, key, bounds)
        if isinstance(found, Reason):
            return False
        name, seen = key.merged, _NOTHING if live is None else live.tree.seen
        question = question_of(
            live or runtime,
            ActionKind.TOOL_CALL,
            name,
            tier=tool.tier if isinstance(tool, Registered) else METHODS,
            now_us=now_us,
            seen=seen,
        )
        facts = tool.facts if isinstance(tool, Registered) else None
        return self._policies.may_list(question, facts)

    def check(self, schema: bytes) -> SchemaCheck:
        """A schema, compiled once while it is in use."""
        known = self._checks.get(schema)
        if known is None:
            if len(self._checks) >= _CHECKS_KEPT:
                del self._checks[next(iter(self._checks))]
            known = self._checks[schema] = SchemaCheck(schema)
        return known

    def _unusable(self, tool: Registered) -> str:
        """What is wrong with the schemas of a tool, for people."""
        why = self.check(tool.input_schema).unusable
        output = tool.definition.output_schema
        if why or not output:
            return f"of its arguments: {why}" if why else ""
        why = self.check(output).unusable
        return f"of its results: {why}" if why else ""

    def _inward(
        self, agent: Agent, server: ToolServer, tool: Registered, arguments: bytes
    ) -> bytes | Reason:
        """The arguments as the server takes them, or what is wrong with them."""
        name, check = tool.key.merged, self.check(tool.input_schema)
        if check.unusable and not _is_unchecked(server, tool):
            return reason.schema_unusable(agent, name, check.unusable)
        problems = check.problems(arguments)
        if problems:
            return reason.arguments_invalid(name, [str(each) for each in problems])
        try:
            return tool.inward(arguments)
        except PeerError as error:
            return reason.arguments_invalid(name, [error.message])

    def _found(self, runtime: AgentRuntime, key: ToolKey) -> Registered | Reason | Lacking:
        organisation = runtime.organisation.id
        tool = self._tools.find(organisation, key)
        if tool is None and self._tools.source(organisation, key.server) is None:
            return Lacking(lack=Lack.LISTING, organisation=organisation, names=(key.server,))
        if tool is None or tool.is_hidden:
            return reason.tool_unknown(runtime.agent, key.merged)
        if tool.state is not ToolState.OK:
            return reason.tool_held(runtime.agent, key.merged, tool.state.value, tool.why)
        return tool


def _is_unchecked(server: ToolServer, tool: Registered) -> bool:
    """Whether somebody has said that a tool may be called without a check of its arguments."""
    return any(fnmatchcase(tool.key.name, each) for each in server.rules.unchecked)


_NOTHING: frozenset[str] = frozenset()
