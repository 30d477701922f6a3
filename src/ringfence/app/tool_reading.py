"""Reading what a tool server lists, without a plane: it is asked for its tools and nothing else.

No tool is ever called from here.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from typing import Final, final

import msgspec

from ringfence.domain.error import PeerError, RingfenceError, UnavailableError
from ringfence.domain.secret import parted
from ringfence.domain.tool import ToolDefinition, ToolServer
from ringfence.enforcement.tool_dispatch import ToolDispatcher, given, secrets_of
from ringfence.gateways.tool.asking import FailedError, ask
from ringfence.gateways.tool.channel import Channel, Sending
from ringfence.gateways.tool.server import ToolLink, opened
from ringfence.protocols import strict_json
from ringfence.protocols.mcp import identity, listing, message
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.error import read as fault_of
from ringfence.protocols.mcp.version import Era
from ringfence.protocols.tool_definition import read_definition
from ringfence.stores.secret import EnvironmentSecrets
from ringfence.transport.client import Pool
from ringfence.transport.tls import client_context

_LINE_BYTES: Final = 16 * 1024 * 1024
_ANSWER_S: Final = 30.0
_END_S: Final = 2.0
_LIST: Final = "tools/list"


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What a server lists; `problems` are of tools that cannot be read and are not among them."""

    tools: list[ToolDefinition]
    problems: list[str]


def read_server(server: ToolServer, environment: Mapping[str, str]) -> Read:
    """Ask a server for its tools. Raises RingfenceError.

    What its `env` refers to must be variables of `environment`: other secrets are the plane's.
    """
    names = secrets_of(server)
    if any(parted(name) is not None for name in names):
        raise UnavailableError(
            "not_authorised",
            f"a secret of tool server `{server.name}` is held by the plane alone",
            help=f"ask the plane what it lists: `ringfence tools lint {server.name}`",
        )
    try:
        entries = asyncio.run(_entries(server, environment))
    except FailedError as error:
        raise error.failure.error from error
    except McpError as error:
        raise PeerError("provider_malformed", f"the server refuses: {error}") from error
    tools: list[ToolDefinition] = []
    problems: list[str] = []
    for entry in entries:
        try:
            tools.append(read_definition(server.name, entry))
        except PeerError as error:
            problems.append(error.message)
    return Read(tools=tools, problems=problems)


async def _entries(server: ToolServer, environment: Mapping[str, str]) -> list[bytes]:
    if server.command:
        async with _process(server, environment) as process:
            return await _from_process(process)
    oauth = server.oauth
    if oauth is not None and oauth.is_by_person:
        raise UnavailableError(
            "not_authorised",
            f"a person has granted tool server `{server.name}` to the plane alone",
            help=f"ask the plane what it lists: `ringfence tools lint {server.name}`",
        )
    pool = Pool(tls=client_context())
    secrets = EnvironmentSecrets(secrets_of(server), environment)
    link = ToolLink("", server, ToolDispatcher(pool, secrets, {}))
    try:
        channel = await opened(link, identity.INTRODUCTION)
        return await _from_channel(channel)
    finally:
        await link.close()
        await pool.close()


async def _from_channel(channel: Channel) -> list[bytes]:
    entries: list[bytes] = []
    cursor = ""
    for _ in range(listing.PAGES_MOST):
        number = channel.number()
        members = {"cursor": strict_json.encode(cursor)} if cursor else {}
        meta = identity.OWN if channel.era is Era.MODERN else {}
        params = identity.params(meta, members) if meta else _plain(members)
        sending = Sending(body=message.request(number, _LIST, params), number=number, method=_LIST)
        reply = await ask(channel, sending, _ANSWER_S)
        if reply.error:
            fault = fault_of(reply.error)
            raise McpError(fault.code, fault.message)
        page = listing.read(reply.result, _LIST)
        entries += page.entries
        cursor = page.cursor
        if not cursor:
            break
    return entries


def _plain(members: Mapping[str, bytes]) -> bytes:
    return b"{%b}" % b",".join(b'"%b":%b' % (k.encode(), v) for k, v in members.items())


@contextlib.asynccontextmanager
async def _process(
    server: ToolServer, environment: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a server's command for as long as it is asked. Raises UnavailableError."""
    program, *arguments = server.command
    secrets = EnvironmentSecrets(secrets_of(server), environment)
    known = {**environment, **given(server, secrets)}
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=known,
            limit=_LINE_BYTES,
        )
    except OSError as error:
        what = f"`{program}` cannot be started: {error.strerror}"
        raise UnavailableError("tool_server_unreachable", what) from error
    try:
        yield process
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _END_S)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _from_process(process: asyncio.subprocess.Process) -> list[bytes]:
    lines = _Lines(process)
    try:
        async with asyncio.timeout(_ANSWER_S):
            return await _listed(lines)
    except TimeoutError as error:
        what = f"the command did not list its tools within {_ANSWER_S:g} seconds"
        raise UnavailableError("provider_timeout", what) from error


async def _listed(lines: "_Lines") -> list[bytes]:
    """Greet the server in the older way, which almost all know; else ask in the newer one."""
    is_legacy = True
    try:
        await lines.ask("initialize", identity.INTRODUCTION)
        await lines.tell(message.notification("notifications/initialized"))
    except McpError:
        is_legacy = False
    entries: list[bytes] = []
    cursor = ""
    for _ in range(listing.PAGES_MOST):
        members = {"cursor": strict_json.encode(cursor)} if cursor else {}
        params = _plain(members) if is_legacy else identity.params(identity.OWN, members)
        page = listing.read(await lines.ask(_LIST, params), _LIST)
        entries += page.entries
        cursor = page.cursor
        if not cursor:
            break
    return entries


@final
class _Lines:
    """JSON-RPC on the standard streams of a command."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise TypeError("the command has no standard streams")
        self._in, self._out = process.stdin, process.stdout
        self._number = 0

    async def tell(self, body: bytes) -> None:
        try:
            self._in.write(body + b"\n")
            await self._in.drain()
        except ConnectionError as error:
            raise _ended() from error

    async def ask(self, method: str, params: bytes) -> bytes:
        """The result. Raises McpError, UnavailableError."""
        self._number += 1
        number = b"%d" % self._number
        await self.tell(message.request(number, method, params))
        while True:
            try:
                line = await self._out.readline()
            except ValueError as error:
                raise PeerError(
                    "provider_malformed", "the command writes lines without end"
                ) from error
            if not line:
                raise _ended()
            try:
                envelope = message.open_envelope(line.strip())
            except (PeerError, msgspec.DecodeError):
                continue  # some servers write their log there
            if bytes(envelope.id) != number:
                continue
            if envelope.error:
                fault = fault_of(bytes(envelope.error))
                raise McpError(fault.code, fault.message)
            return bytes(envelope.result)


def _ended() -> RingfenceError:
    return UnavailableError(
        "tool_server_unreachable",
        "the command ended before it had listed its tools",
        help="run it by hand to see why",
    )


def child_environment() -> Mapping[str, str]:
    """What a command that a person names gets: the person's own environment."""
    return dict(os.environ)
