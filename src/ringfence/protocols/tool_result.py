"""Results of tools: what governance reads of them, and the ones that Ringfence itself gives.

Source: MCP 2025-11-25 and 2026-07-28, `CallToolResult`.
"""

import re
from collections.abc import Mapping

import msgspec

from ringfence.domain.error import PeerError
from ringfence.domain.tool_rule import ToolFailure
from ringfence.protocols import strict_json

NOTE = "[Note from Ringfence, not part of the result: {}]"


class _Item(msgspec.Struct):
    type: str = ""
    text: str = ""


class _Result(msgspec.Struct):
    content: list[_Item] | None = None
    structured: msgspec.Raw = msgspec.field(default=msgspec.Raw(b""), name="structuredContent")
    is_error: bool = msgspec.field(default=False, name="isError")
    kind: str = msgspec.field(default="complete", name="resultType")
    task: msgspec.Raw = msgspec.Raw(b"")


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """What governance reads of a result. `structured` is raw JSON, empty if there is none."""

    texts: tuple[str, ...] = ()
    structured: bytes = b""
    is_error: bool = False
    is_empty: bool = False
    """Whether it holds nothing at all, or only empty texts."""
    is_whole: bool = True
    """False for one that asks for more (a multi-round-trip request), or is a task yet."""

    @property
    def document(self) -> bytes:
        """The result as one JSON value: what is structured, else what the first text holds."""
        if self.structured:
            return self.structured
        text = self.texts[0].encode() if self.texts else b""
        try:
            msgspec.json.decode(text, type=msgspec.Raw)
        except (msgspec.DecodeError, RecursionError):
            return msgspec.json.encode({"text": self.texts[0] if self.texts else ""})
        return text


_decoder = msgspec.json.Decoder(_Result)


def read(raw: bytes, *, is_judged: bool = False) -> ToolResult | None:
    """Read a result; None if it is none, or if two readers could read two things of it.

    INVARIANT (I8): no name that governance reads stands there twice; where what is structured
    `is_judged`, at no level of it.
    """
    try:
        strict_json.check_text(raw)
        found = _decoder.decode(raw)
        structured = bytes(found.structured)
        _refuse_doubles(raw)
        if structured and is_judged:
            strict_json.parse(structured)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, PeerError):
        return None
    is_whole = found.kind == "complete" and not bytes(found.task)
    if found.content is None and not structured and is_whole:
        return None
    items = found.content or []
    texts = tuple([item.text for item in items if item.type == "text"])
    has_other = any(item.type != "text" for item in items)
    is_empty = not (has_other or any(texts) or structured not in _NOTHING)
    return ToolResult(
        texts=texts,
        structured=structured,
        is_error=found.is_error,
        is_empty=is_empty and is_whole,
        is_whole=is_whole,
    )


def _refuse_doubles(raw: bytes) -> None:
    """Raises PeerError if a member of the result, or of a part of its content, is there twice."""
    content = bytes(strict_json.values_of(raw).get("content", b""))
    if content[:1] == b"[":
        for item in strict_json.items_of(content):
            strict_json.values_of(bytes(item))


_NOTHING = frozenset({b"", b"{}", b"[]", b"null"})


EMPTY = msgspec.json.encode(
    {"content": [{"type": "text", "text": NOTE.format("the tool answered, with an empty result")}]}
)
"""What stands for a result that holds nothing: a model that is told nothing asks again."""


def error(text: str, told: Mapping[str, str] | None = None) -> bytes:
    """A result that tells the model of a failure (`isError`), and programs by `told`."""
    content = [{"type": "text", "text": text}]
    if told is None:
        return msgspec.json.encode({"content": content, "isError": True})
    structured = {"verdict": "failed", "message": text, **told}
    result = {"content": content, "structuredContent": structured, "isError": True}
    return msgspec.json.encode(result)


def joined(parts: Mapping[str, bytes], *, is_error: bool = False) -> bytes:
    """Several documents (raw JSON, by name) as one result: as text, and structured."""
    whole = msgspec.json.encode({name: msgspec.Raw(raw) for name, raw in parts.items()})
    content = [{"type": "text", "text": whole.decode("utf-8", "replace")}]
    result: dict[str, object] = {"content": content, "structuredContent": msgspec.Raw(whole)}
    return msgspec.json.encode(result | ({"isError": True} if is_error else {}))


def replaced(raw: bytes, text: str) -> bytes:
    """An error with another text; its other fields stay."""
    fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    fields["content"] = msgspec.Raw(msgspec.json.encode([{"type": "text", "text": text}]))
    return msgspec.json.encode(fields)


def noted(raw: bytes, note: str) -> bytes:
    """A result with a note of ours as its last text, marked as such; all other fields stay."""
    fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    content = msgspec.json.decode(fields.get("content", b"[]"), type=list[msgspec.Raw] | None) or []
    item = {"type": "text", "text": NOTE.format(note)}
    fields["content"] = msgspec.Raw(msgspec.json.encode([*content, item]))
    return msgspec.json.encode(fields)


def cut(result: ToolResult, start: int, length: int) -> tuple[str, int, int]:
    """A piece of a result's text: the piece, where it ends and how long the whole is, in bytes.

    The text is what is structured if there is no other; characters are not cut in two.
    """
    whole = "\n".join(result.texts).encode() or result.structured
    piece = whole[start : start + length].decode("utf-8", "ignore")
    return piece, start + max(len(piece.encode()), 0), len(whole)


_STATUS = re.compile(
    r"\b(?:http|status|status code|error|code)\W{0,3}(401|403|404|408|429|5\d\d)\b", re.IGNORECASE
)
_LOOKED_AT = 400
"""Where servers that pass on an error of what stands behind them say so: at the beginning."""


def status_in(text: str) -> int:
    """The HTTP status that an error text names, as in `HTTP 429` or `status code: 503`; else 0."""
    found = _STATUS.search(text[:_LOOKED_AT])
    return int(found[1]) if found else 0


def failure_text(name: str, failure: ToolFailure, said: str) -> str:
    """What a failure is, in words for a model."""
    told = f" It said: {said[:_LOOKED_AT]}" if said else ""
    return f"Tool `{name}` failed: {_WORDS[failure]}.{told}"


_WORDS = {
    ToolFailure.UNAUTHORIZED: "its server refuses the credential that it is called with (401)",
    ToolFailure.FORBIDDEN: "its server does not allow this (403)",
    ToolFailure.NOT_FOUND: "what was asked for does not exist there (404)",
    ToolFailure.RATE_LIMITED: "it is called too fast (429)",
    ToolFailure.SERVER_ERROR: "its server failed (5xx)",
    ToolFailure.TIMEOUT: "it did not answer in time",
    ToolFailure.MALFORMED: "its answer cannot be used",
    ToolFailure.EMPTY: "its answer is empty",
    ToolFailure.AWAY: "its server cannot be reached",
}
