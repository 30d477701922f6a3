"""What a client is told first: one server's own greeting, or one for all that are in reach."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Final, final

import msgspec

from ringfence.gateways.tool.asking import FailedError, Reply
from ringfence.gateways.tool.session import Session
from ringfence.gateways.tool.way import Way
from ringfence.protocols import strict_json
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import identity, task, translation
from ringfence.protocols.mcp import request as requests
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.version import LATEST, LEGACY, Era

_KNOWN: Final = ("tools", "resources", "prompts", "completions", "logging")
_Capabilities = dict[str, dict[str, msgspec.Raw]]
_capabilities: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_flags: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_INSTRUCTIONS: Final = "Tools and prompts are named after their server: `server__name`."


@final
class Greetings:
    """Answers `initialize` and `server/discover`."""

    async def of_one(self, way: Way, meta: Mapping[str, bytes], session: Session) -> bytes:
        """The result of `initialize` for one server: its own, if it is of that era."""
        if way.channel.era is Era.LEGACY:
            return way.channel.greeting
        return translation.greeting_of(await self._asked(way, meta), session.version)

    async def of_many(
        self, ways: Sequence[Way], meta: Mapping[str, bytes], session: Session
    ) -> bytes:
        """The result of `initialize` for several servers."""
        await self._ask_all(ways, meta)
        members = {
            "protocolVersion": strict_json.encode(session.version),
            "capabilities": self._joined([way.channel.capabilities for way in ways]),
            "serverInfo": identity.IMPLEMENTATION,
            "instructions": strict_json.encode(_INSTRUCTIONS),
        }
        return _object(members)

    async def discovered(
        self, ways: Sequence[Way], meta: Mapping[str, bytes], *, is_merged: bool
    ) -> bytes:
        """The result of `server/discover`."""
        if not is_merged:
            (way,) = ways
            if way.channel.era is Era.MODERN:
                return await self._asked(way, meta)
            return translation.discovered_of(way.channel.greeting)
        await self._ask_all(ways, meta)
        members = {
            "resultType": b'"complete"',
            "supportedVersions": msgspec.json.encode([LATEST, *reversed(LEGACY)]),
            "capabilities": self._joined([way.channel.capabilities for way in ways]),
            "instructions": strict_json.encode(_INSTRUCTIONS),
            "ttlMs": b"0",
            "cacheScope": b'"private"',
            "_meta": _object({requests.SERVER: identity.IMPLEMENTATION}),
        }
        return _object(members)

    async def _ask_all(self, ways: Sequence[Way], meta: Mapping[str, bytes]) -> None:
        """Have every server in reach say what it can do; who fails says nothing."""
        for way in ways:
            if way.channel.era is Era.MODERN:
                with contextlib.suppress(FailedError, McpError):
                    await self._asked(way, meta)

    async def _asked(self, way: Way, meta: Mapping[str, bytes]) -> bytes:
        """What a modern server says of itself to this client. Raises FailedError, McpError."""
        reply: Reply = await way.link.discover(meta or identity.OWN)
        if reply.error:
            fault = errors.read(reply.error)
            data = fault.data if bytes(fault.data) else None
            raise McpError(fault.code, fault.message, data, status=reply.status)
        parts = strict_json.spans(reply.result)
        if "capabilities" in parts:
            start, end = parts["capabilities"]
            way.channel.capabilities = reply.result[start:end]
        return reply.result

    def _joined(self, declared: Sequence[bytes]) -> bytes:
        """What any of the servers can do, as far as `/mcp` can pass it on."""
        joined: _Capabilities = {}
        for raw in declared:
            try:
                found = _capabilities.decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            for name in _KNOWN:
                if name in found:
                    joined.setdefault(name, {}).update(_read_flags(bytes(found[name])))
            if task.EXTENSION.encode() in bytes(found.get("extensions", b"")):
                joined.setdefault("extensions", {})[task.EXTENSION] = msgspec.Raw(b"{}")
        return msgspec.json.encode(joined)


def _read_flags(raw: bytes) -> dict[str, msgspec.Raw]:
    try:
        return {
            k: msgspec.Raw(b"true") for k, v in _flags.decode(raw).items() if bytes(v) == b"true"
        }
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _object(members: Mapping[str, bytes]) -> bytes:
    return b"{%b}" % b",".join(strict_json.encode(k) + b":" + v for k, v in members.items())
