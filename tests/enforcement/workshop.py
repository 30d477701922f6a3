"""A world whose agent has tools, and the short way to call one of them on the path."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
from tests.gateways.world import TOKEN, World, agent, organisation

from ringfence.domain.agent import Scope
from ringfence.domain.event import Status
from ringfence.domain.organisation import Organisation
from ringfence.domain.tool import PermissionTier, ToolDefinition, ToolKey, ToolServer
from ringfence.domain.verdict import Reason
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.directory import Caller, digest_of
from ringfence.enforcement.holding import Holdable
from ringfence.enforcement.lack import Supplier
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.tool_knock import ToolKnock
from ringfence.enforcement.tool_ticket import ToolEnding, ToolTicket
from ringfence.protocols.tool_definition import read_definition
from ringfence.testing.clock import ManualClock

RESULT = b'{"content":[{"type":"text","text":"done"}]}'


def crm(**more: Any) -> ToolServer:  # noqa: ANN401 (fields of it)
    tiers = (
        ("get_*", PermissionTier.READ),
        ("add_*", PermissionTier.WRITE),
        ("refund", PermissionTier.IRREVERSIBLE),
    )
    return replace(ToolServer(name="crm", url="https://crm.example/mcp", tiers=tiers), **more)


def shop(servers: Mapping[str, ToolServer] | None = None, **more: Any) -> Organisation:  # noqa: ANN401
    """The usual organisation, whose agent `triage` may use every tool of `crm`."""
    scope = Scope(models=frozenset({"small"}), tools=("crm__*",))
    triage = agent(**({"scope": scope} | more))
    return organisation(tools=servers or {"crm": crm()}, agents={"triage": triage})


NUMBER = {"type": "number"}
LISTED: Mapping[str, Mapping[str, object]] = {
    "get_job": {"id": {"type": "integer"}},
    "get_client": {},
    "get_other": {},
    "add_job": {"title": {"type": "string"}},
    "refund": {"order": {"type": "string"}, "amount": NUMBER},
}


def definition(
    name: str,
    properties: Mapping[str, object] | None = None,
    server: str = "crm",
    /,
    **more: Any,  # noqa: ANN401 (fields of a tool as MCP has them)
) -> ToolDefinition:
    schema = {"type": "object", "properties": properties or {}, "additionalProperties": False}
    raw = {"name": name, "description": f"Does {name}.", "inputSchema": schema} | more
    return read_definition(server, msgspec.json.encode(raw))


class Workshop:
    """Calls tools of a worker; made inside a running loop."""

    def __init__(
        self,
        config: Organisation | None = None,
        *,
        approvals: Approvals | None = None,
        supplier: Supplier | None = None,
        clock: ManualClock | None = None,
        is_listed: bool = True,
    ) -> None:
        self.world = World(config or shop(), supplier=supplier, approvals=approvals, clock=clock)
        self.path = self.world.worker.tool_path
        self.ledger = self.world.ledger
        if is_listed:
            self.list(*(definition(name, properties) for name, properties in LISTED.items()))

    def list(self, *tools: ToolDefinition, server: str = "crm") -> None:
        """What the server offers from now on."""
        self.world.worker.tools.observe("org_acme", server, tools, "1.0", "2025-11-25")

    def caller(self, token: str = TOKEN) -> Caller:
        found = self.world.worker.directory.identify(digest_of(token.encode()), 0)
        assert isinstance(found, Caller)
        return found

    def knock(self, name: str = "get_job", /, **more: Any) -> ToolKnock:  # noqa: ANN401 (fields)
        """`run` names the invocation, `arguments` may be anything that JSON can say."""
        run = more.pop("run", "run-1")
        arguments = more.pop("arguments", {})
        encoded = arguments if isinstance(arguments, bytes) else msgspec.json.encode(arguments)
        plain = ToolKnock(
            caller=self.caller(),
            key=ToolKey(server="crm", name=name),
            arguments=encoded,
            hints=(("ringfence-invocation", run),),
        )
        return msgspec.structs.replace(plain, **more)

    def begin(self, name: str = "get_job", /, **more: Any) -> ToolTicket | RefusedAction:  # noqa: ANN401
        begun = self.path.begin(self.knock(name, **more))
        assert isinstance(begun, ToolTicket | RefusedAction), begun
        return begun

    def holdable(self, name: str = "refund", /, **more: Any) -> Holdable:  # noqa: ANN401
        """A call that only a person stands in the way of."""
        held = self.path.begin(self.knock(name, **more))
        assert isinstance(held, Holdable), held
        return held

    def ticket(self, name: str = "get_job", /, **more: Any) -> ToolTicket:  # noqa: ANN401 (fields)
        """A call that is allowed."""
        ticket = self.begin(name, **more)
        assert isinstance(ticket, ToolTicket), ticket
        return ticket

    async def go(self, name: str = "get_job", /, **more: Any) -> ToolTicket:  # noqa: ANN401
        """Begin a call that is allowed, up to its dispatch."""
        ticket = self.ticket(name, **more)
        await ticket.durable
        assert self.path.written(ticket) is None
        return ticket

    async def call(self, name: str = "get_job", /, **more: Any) -> ToolTicket | Reason:  # noqa: ANN401
        """A whole call whose server answers `result`, or why it was refused."""
        result = more.pop("result", RESULT)
        begun = self.begin(name, **more)
        if isinstance(begun, RefusedAction):
            return begun.verdict.reason
        await begun.durable
        assert self.path.written(begun) is None
        begun.settle(ToolEnding(status=Status.OK, result=result))
        return begun
