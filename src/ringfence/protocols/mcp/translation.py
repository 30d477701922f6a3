"""What one era says, in the words of the other; whatever is not named here stays as it is."""

from typing import Final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.protocols import strict_json
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import request as requests
from ringfence.protocols.mcp.request import Asked
from ringfence.protocols.mcp.version import LATEST, LATEST_LEGACY, LEGACY, negotiated

INPUT_REQUIRED: Final = "input_required"
_CACHED: Final = frozenset(
    {
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "server/discover",
    }
)
"""Results that say how long they may be kept (2026-07-28, SEP-2549)."""
_PRIVATE: Final = b'"private"'


class _Result(msgspec.Struct, rename={"result_type": "resultType", "requests": "inputRequests"}):
    """What is read of a result that asks for more."""

    result_type: str = "complete"
    requests: dict[str, msgspec.Raw] = {}
    state: str | None = msgspec.field(default=None, name="requestState")


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What a modern server asks before it goes on. `requests` are raw, by key."""

    requests: dict[str, bytes]
    state: str | None


class Question(msgspec.Struct):
    """One of them."""

    method: str = ""
    params: msgspec.Raw = msgspec.Raw(b"{}")


_result: Final = msgspec.json.Decoder(_Result)
_question: Final = msgspec.json.Decoder(Question)


def round_of(result: bytes) -> Round | None:
    """What a modern result asks for; None if it is complete. Raises PeerError."""
    if b"input_required" not in result:
        return None
    try:
        read = _result.decode(result)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PeerError("provider_malformed", "the tool server's question is unreadable") from error
    if read.result_type != INPUT_REQUIRED:
        return None
    return Round(requests={k: bytes(v) for k, v in read.requests.items()}, state=read.state)


def question_of(raw: bytes) -> Question:
    """Read one question. Raises PeerError."""
    try:
        return _question.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PeerError("provider_malformed", "the tool server's question is unreadable") from error


def asking(key: str, method: str, params: bytes, state: str) -> bytes:
    """A legacy server's question as the modern result that asks it."""
    inner = {"method": method, "params": msgspec.Raw(params or b"{}")}
    return msgspec.json.encode(
        {"resultType": INPUT_REQUIRED, "inputRequests": {key: inner}, "requestState": state}
    )


def answers_of(asked: Asked) -> dict[str, bytes]:
    """The client's answers to a round, raw, by key."""
    span = asked.params.get("inputResponses")
    if span is None:
        return {}
    raw = asked.message.raw
    return {
        name: raw[start:end]
        for name, start, end in strict_json.members_within(raw, span[0], span[1])
    }


def answered(asked: Asked, number: bytes, answers: dict[str, bytes], state: str | None) -> bytes:
    """The request again, with the answers to what was asked meanwhile."""
    raw = asked.message.raw
    members = {name: raw[start:end] for name, (start, end) in asked.params.items()}
    members["inputResponses"] = msgspec.json.encode(
        {key: msgspec.Raw(value) for key, value in answers.items()}
    )
    members.pop("requestState", None)
    if state is not None:
        members["requestState"] = strict_json.encode(state)
    params = b",".join(strict_json.encode(k) + b":" + v for k, v in members.items())
    return b'{"jsonrpc":"2.0","id":%b,"method":%b,"params":{%b}}' % (
        number,
        strict_json.encode(asked.message.method),
        params,
    )


# A client's request


def meta_of(introduction: bytes, level: bytes) -> dict[str, bytes]:
    """What each request of a legacy client says of it, from its raw `initialize` params."""
    parts = _parts(introduction)
    meta = {
        requests.VERSION: strict_json.encode(LATEST),
        requests.CAPABILITIES: parts.get("capabilities", b"{}"),
    }
    if "clientInfo" in parts:
        meta[requests.CLIENT] = parts["clientInfo"]
    if level:
        meta[requests.LOG_LEVEL] = level
    return meta


def capabilities_of(introduction: bytes) -> bytes:
    """What a legacy client says of itself, from its raw `initialize` params."""
    return _parts(introduction).get("capabilities", b"{}")


def introduction_of(asked: Asked) -> bytes:
    """The raw `initialize` params for whoever makes a modern request."""
    client = asked.said(requests.CLIENT) or b'{"name":"unknown","version":"0"}'
    capabilities = asked.said(requests.CAPABILITIES) or b"{}"
    return b'{"protocolVersion":"%b","capabilities":%b,"clientInfo":%b}' % (
        LATEST_LEGACY.encode(),
        capabilities,
        client,
    )


_ASKED_OF: Final = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}


def may_ask(capabilities: bytes, method: str) -> bool:
    """Whether a client that says this of itself can be asked so by a server."""
    needed = _ASKED_OF.get(method)
    return method == "ping" or (needed is not None and needed in _parts(capabilities))


# A server's answer


def greeting_of(discovered: bytes, asked_version: str) -> bytes:
    """The result of `initialize` from one of `server/discover`."""
    parts = _parts(discovered)
    server = _parts(parts.get("_meta", b"{}")).get(requests.SERVER) or parts.get("serverInfo")
    members = {
        "protocolVersion": strict_json.encode(negotiated(asked_version)),
        "capabilities": parts.get("capabilities", b"{}"),
        "serverInfo": server or b'{"name":"unknown","version":"0"}',
    }
    if "instructions" in parts:
        members["instructions"] = parts["instructions"]
    return _object(members)


def discovered_of(greeting: bytes) -> bytes:
    """The result of `server/discover` from one of `initialize`."""
    parts = _parts(greeting)
    server = parts.get("serverInfo", b'{"name":"unknown","version":"0"}')
    members = {
        "resultType": b'"complete"',
        "supportedVersions": msgspec.json.encode([LATEST, *reversed(LEGACY)]),
        "capabilities": parts.get("capabilities", b"{}"),
        "ttlMs": b"0",
        "cacheScope": _PRIVATE,
        "_meta": _object({requests.SERVER: server}),
    }
    if "instructions" in parts:
        members["instructions"] = parts["instructions"]
    return _object(members)


def completed(result: bytes, method: str) -> bytes:
    """A legacy result as a modern one: it says that it is complete, and that it is not kept."""
    added: list[bytes] = []
    parts = _parts(result)
    if "resultType" not in parts:
        added.append(b'"resultType":"complete"')
    if method in _CACHED:
        if "ttlMs" not in parts:
            added.append(b'"ttlMs":0')
        if "cacheScope" not in parts:
            added.append(b'"cacheScope":"private"')
    if not added:
        return result
    at = result.index(b"{") + 1
    return result[:at] + b",".join(added) + (b"," if parts else b"") + result[at:]


def error_code(code: int, *, is_modern: bool) -> int:
    """A server's code in the words of the client's era."""
    if is_modern and code == errors.RESOURCE_NOT_FOUND:
        return errors.INVALID_PARAMS
    return code


def tagged(raw: bytes, number: bytes) -> bytes:
    """A notification marked as belonging to a subscription."""
    spans = strict_json.spans(raw)
    member = b"%b:%b" % (strict_json.encode(requests.SUBSCRIPTION), number)
    if "params" not in spans:
        edit = strict_json.insertion(raw, 0, "params", b'{"_meta":{%b}}' % member)
        return strict_json.replace(raw, [edit])
    start, end = spans["params"]
    params = strict_json.spans_within(raw, start, end)
    if "_meta" not in params:
        added = b'"_meta":{%b}' % member + (b"," if params else b"")
        return strict_json.replace(raw, [(start + 1, start + 1, added)])
    at, stop = params["_meta"]
    meta = strict_json.spans_within(raw, at, stop)
    known = meta.get(requests.SUBSCRIPTION)
    if known is not None:
        return strict_json.replace(raw, [(*known, number)])
    return strict_json.replace(raw, [(at + 1, at + 1, member + (b"," if meta else b""))])


def _parts(raw: bytes) -> dict[str, bytes]:
    if raw.lstrip()[:1] != b"{":
        return {}
    return {name: raw[start:end] for name, (start, end) in strict_json.spans(raw).items()}


def _object(members: dict[str, bytes]) -> bytes:
    return b"{%b}" % b",".join(strict_json.encode(k) + b":" + v for k, v in members.items())
