"""What governance reads of a request: its name, its arguments and its `_meta`."""

from typing import Final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.protocols import headers, strict_json
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import task
from ringfence.protocols.mcp import version as versions
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.message import Message
from ringfence.protocols.mcp.version import Era
from ringfence.protocols.strict_json import Edit, Span

META: Final = "io.modelcontextprotocol/"
VERSION: Final = f"{META}protocolVersion"
CAPABILITIES: Final = f"{META}clientCapabilities"
CLIENT: Final = f"{META}clientInfo"
LOG_LEVEL: Final = f"{META}logLevel"
SUBSCRIPTION: Final = f"{META}subscriptionId"
SERVER: Final = f"{META}serverInfo"

_CALL_IDS: Final = ("claudecode/toolUseId", "callId")
"""Where clients put the model's id of a tool call; measured for Claude Code and Codex."""
_CODEX_TURN: Final = "x-codex-turn-metadata"
_IN_HEAD: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""Methods whose name stands in the header `Mcp-Name`, and where the body says it."""
_NAMED: Final = _IN_HEAD | dict.fromkeys(task.METHODS, task.FIELD)
"""Methods that name what they are about, and where."""
_READ: Final = frozenset({"name", "arguments", "_meta", "uri", "cursor", "inputresponses"})
_ID_CHARACTERS: Final = 200


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request, read as far as governance reads it. Spans are positions in `message.raw`."""

    message: Message
    params: dict[str, Span]
    meta: dict[str, Span]
    name: str = ""
    """What the request is about: a tool, a prompt, or the address of a resource."""

    def text(self, name: str) -> str:
        """A text among the parameters; empty if it is not there. Raises McpError."""
        span = self.params.get(name)
        if span is None:
            return ""
        try:
            return strict_json.text(self.message.raw[span[0] : span[1]], name)
        except PeerError as error:
            raise McpError(errors.INVALID_PARAMS, error.message) from error

    def part(self, name: str) -> bytes:
        """The raw JSON of a parameter; empty if it is not there."""
        span = self.params.get(name)
        return b"" if span is None else self.message.raw[span[0] : span[1]]

    def said(self, name: str) -> bytes:
        """The raw JSON of a member of `_meta`; empty if it is not there."""
        span = self.meta.get(name)
        return b"" if span is None else self.message.raw[span[0] : span[1]]

    @property
    def arguments(self) -> bytes:
        """The raw object of arguments; `{}` if there are none."""
        return self.part("arguments") or b"{}"

    @property
    def part_of_params(self) -> bytes:
        """The raw object of all parameters; `{}` if there are none."""
        return self.message.part("params") or b"{}"

    @property
    def call_id(self) -> str:
        """The model's id of this call, where the client tells it."""
        for key in _CALL_IDS:
            found = _text(self.said(key))
            if found:
                return found
        return ""

    @property
    def hints(self) -> tuple[tuple[str, str], ...]:
        """Ids in `_meta` that name the run, as `headers.client_ids` gives them."""
        at, turn = self.said("traceparent"), self.said(_CODEX_TURN)
        if not at and not turn:
            return ()
        trace = _text(at).split("-")
        is_trace = len(trace) == 4 and len(trace[1]) == 32 and trace[1].strip("0")  # noqa: PLR2004 (W3C Trace Context)
        named = (("traceparent", trace[1]),) if is_trace else ()
        return (*named, *headers.turn_hints(_document(turn)))


def read(message: Message) -> Asked:
    """Read a request. Raises McpError for what two readers could understand differently."""
    span = message.parts.get("params")
    if span is None:
        return Asked(message=message, params={}, meta={})
    raw = message.raw
    try:
        params = strict_json.spans_within(raw, *span)
        for name in params:
            if name not in _READ and name.casefold() in _READ and name != "inputResponses":
                what = f"{strict_json.quote(name)} is `{name.casefold()}` in another case"
                raise McpError(errors.INVALID_PARAMS, what, status=400)
        at = params.get("_meta")
        meta = {} if at is None or raw[at[0]] != _OPEN else strict_json.spans_within(raw, *at)
        arguments = params.get("arguments")
        if arguments is not None:
            _check_arguments(raw[arguments[0] : arguments[1]])
    except PeerError as error:
        raise McpError(errors.INVALID_PARAMS, error.message, status=400) from error
    return Asked(message=message, params=params, meta=meta, name=_name_of(message, params))


def _name_of(message: Message, params: dict[str, Span]) -> str:
    named = _NAMED.get(message.method, "")
    at = params.get(named)
    if at is None:
        return ""
    try:
        return strict_json.text(message.raw[at[0] : at[1]], named)
    except PeerError as error:
        raise McpError(errors.INVALID_PARAMS, error.message) from error


_OPEN: Final = ord("{")


def _check_arguments(raw: bytes) -> None:
    """Every level of the arguments is read by governance, so every level is read strictly."""
    if raw == b"{}":
        return
    if raw[:1] != b"{" and raw != b"null":
        raise McpError(errors.INVALID_PARAMS, "`arguments` must be an object", status=400)
    strict_json.parse(raw)


def check_modern(asked: Asked) -> None:
    """What a modern request must say of itself (2026-07-28, Base protocol, `_meta`)."""
    if asked.message.method == "":
        return
    for key in (VERSION, CAPABILITIES):
        if not asked.said(key):
            what = f"`params._meta` must hold `{key}`"
            raise McpError(errors.INVALID_PARAMS, what, status=400)


def _text(raw: bytes) -> str:
    if raw[:1] != b'"':
        return ""
    try:
        found = strict_json.text(raw, "id")
    except PeerError:
        return ""
    return found if len(found) <= _ID_CHARACTERS and found.isprintable() else ""


def _document(raw: bytes) -> bytes:
    """A JSON object that stands as it is, or written as text; empty if it is neither."""
    if raw[:1] != b'"':
        return raw
    try:
        return strict_json.text(raw, "metadata").encode()
    except (PeerError, UnicodeEncodeError):
        return b""


def with_arguments(asked: Asked, arguments: bytes) -> list[Edit]:
    """The edits that give it these arguments."""
    span = asked.params.get("arguments")
    if span is None:
        return _added(asked, b'"arguments":' + arguments)
    return [(*span, arguments)]


def with_name(asked: Asked, name: str) -> list[Edit]:
    """The edits that give it another name."""
    span = asked.params[_NAMED[asked.message.method]]
    return [(*span, strict_json.encode(name))]


def without_input(asked: Asked) -> list[Edit]:
    """The edits that take out what a client brings along when it asks again (2026-07-28, MRTR)."""
    if _INPUT.isdisjoint(asked.params):
        return []
    edits: list[Edit] = []
    start, is_first = asked.message.parts["params"][0] + 1, True
    for at, (name, (_, end)) in enumerate(asked.params.items(), 1):
        stop = end
        if name not in _INPUT:
            is_first = False
        else:
            if is_first and at < len(asked.params):  # the comma after it goes with it
                stop = asked.message.raw.index(b",", end) + 1
            edits.append((start, stop, b""))
        start = stop
    return edits


_INPUT: Final = frozenset({"inputResponses", "requestState"})


def with_id(asked: Asked, number: bytes) -> list[Edit]:
    """The edits that give it another id."""
    return [(*asked.message.parts["id"], number)]


def with_meta(asked: Asked, members: dict[str, bytes]) -> list[Edit]:
    """The edits that give `_meta` these members; all else in it stays."""
    raw = asked.message.raw
    at = asked.params.get("_meta")
    if at is None or raw[at[0]] != _OPEN:
        written = b"{%b}" % b",".join(strict_json.encode(k) + b":" + v for k, v in members.items())
        return _added(asked, b'"_meta":' + written) if at is None else [(*at, written)]
    edits: list[Edit] = []
    fresh: list[bytes] = []
    for name, value in members.items():
        known = asked.meta.get(name)
        if known is not None:
            edits.append((*known, value))
        else:
            fresh.append(strict_json.encode(name) + b":" + value)
    if fresh:
        end = b"," if asked.meta else b""
        edits.append((at[0] + 1, at[0] + 1, b",".join(fresh) + end))
    return edits


def without_era(asked: Asked, members: dict[str, bytes]) -> list[Edit]:
    """The edits that take out of `_meta` what only the modern era says there, and add these."""
    at = asked.params.get("_meta")
    if at is None or _OURS.isdisjoint(asked.meta):
        return with_meta(asked, members) if members else []
    raw = asked.message.raw
    kept = {
        name: raw[start:end] for name, (start, end) in asked.meta.items() if name not in _OURS
    } | members
    return [(*at, b"{%b}" % b",".join(strict_json.encode(k) + b":" + v for k, v in kept.items()))]


_OURS: Final = frozenset({VERSION, CAPABILITIES, CLIENT, LOG_LEVEL})


def _added(asked: Asked, member: bytes) -> list[Edit]:
    """Add a member at the front of the parameters. Once only where there are none yet."""
    raw = asked.message.raw
    span = asked.message.parts.get("params")
    if span is None:
        return [strict_json.insertion(raw, 0, "params", b"{%b}" % member)]
    end = b"," if asked.params else b""
    return [(span[0] + 1, span[0] + 1, member + end)]


def named_in_head(method: str) -> str:
    """The parameter that the header `Mcp-Name` repeats; empty if none."""
    return _IN_HEAD.get(method, "")


def era_of(asked: Asked, stated: str) -> Era:
    """The era of a request; `stated` is its header `MCP-Protocol-Version`, empty if it has none."""
    if stated:
        return versions.era_of(stated)
    is_modern = asked.said(VERSION) or asked.message.method == "server/discover"
    return Era.MODERN if is_modern else Era.LEGACY
