"""The tools that a model request declares, read whole, and written again where one is mended.

Read lazily: who keeps what was read of these very bytes need not read them again.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from ringfence.domain.model import Dialect
from ringfence.domain.tool_dialect import ToolDialect
from ringfence.protocols import strict_json
from ringfence.protocols.request import LocatedRequest

Place = tuple[int, int]
"""Which element of `tools`, and which function within it (Gemini's hold several)."""

_SNAKE: Final = {"functionDeclarations": "function_declarations"}
_GEMINI_FIELDS: Final = (
    "parametersJsonSchema",
    "parameters_json_schema",
    "parameters",
)


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """One function that the agent itself carries out.

    `field` names the member that holds its schema, of what is at `place`.
    """

    name: str
    place: Place
    description: str
    schema: object
    field: str
    is_strict: bool = False


class Mended(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a declaration: another schema, and what its description must tell."""

    dialect: ToolDialect
    schema: object
    told: tuple[str, ...]


def read(dialect: Dialect, raw: bytes) -> tuple[Declaration, ...]:
    """Read a `tools` array; what is no function of the agent, or unreadable, is left out."""
    try:
        tools = strict_json.parse(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return ()
    found: list[Declaration] = []
    for at, tool in enumerate(tools if isinstance(tools, list) else ()):
        if isinstance(tool, dict):
            found += _read(dialect, at, tool)
    return tuple(found)


def rewrite(dialect: Dialect, raw: bytes, changes: Mapping[Place, Mended | None]) -> bytes:
    """The array with these declarations mended, or left out; all others keep their bytes.

    Raises ValueError if a tool holds a number that cannot be written again.
    """
    spans = strict_json.elements(raw, 0, len(raw), strict_json.MAX_NAMES)
    pieces: list[bytes] = []
    for at, (start, end) in enumerate(spans):
        mine = {inner: change for (outer, inner), change in changes.items() if outer == at}
        piece = raw[start:end] if not mine else _rewrite(dialect, raw[start:end], mine)
        if piece:
            pieces.append(piece)
    return b"[" + b",".join(pieces) + b"]"


def with_tools(request: LocatedRequest, raw: bytes, left_out: frozenset[str]) -> LocatedRequest:
    """The same request with another `tools` array; every other byte as it was."""
    start, end = request.spans["tools"]
    longer = len(raw) - (end - start)

    def moved(span: tuple[int, int]) -> tuple[int, int]:
        return tuple(at + longer if at > start else at for at in span)  # type: ignore[return-value] # two in, two out

    return msgspec.structs.replace(
        request,
        body=request.body[:start] + raw + request.body[end:],
        spans={name: moved(span) for name, span in request.spans.items()},
        message_spans=tuple(moved(span) for span in request.message_spans),
        tools=tuple(name for name in request.tools if name not in left_out),
    )


def _read(dialect: Dialect, at: int, tool: dict[str, object]) -> Iterator[Declaration]:
    match dialect:
        case Dialect.CHAT:
            function = tool.get("function")
            if isinstance(function, dict):
                yield from _function((at, 0), function, "parameters", function.get("strict"))
        case Dialect.RESPONSES:
            if tool.get("type") == "function":
                yield from _function((at, 0), tool, "parameters", tool.get("strict"))
        case Dialect.MESSAGES | Dialect.COUNT_TOKENS:
            if tool.get("type") in {None, "custom"}:
                yield from _function((at, 0), tool, "input_schema", tool.get("strict"))
        case Dialect.GEMINI:
            yield from _gemini(at, tool)
        case Dialect.EMBEDDINGS:
            return


def _gemini(at: int, tool: dict[str, object]) -> Iterator[Declaration]:
    functions = _functions(tool)
    for inner, function in enumerate(functions if isinstance(functions, list) else ()):
        if isinstance(function, dict):
            field = _gemini_field(function) or "parameters"
            yield from _function((at, inner), function, field, strict=False)


def _function(
    place: Place, function: dict[str, object], field: str, strict: object
) -> Iterator[Declaration]:
    name, description = function.get("name"), function.get("description")
    if isinstance(name, str):
        yield Declaration(
            name=name,
            place=place,
            description=description if isinstance(description, str) else "",
            schema=function.get(field),
            field=field,
            is_strict=strict is True,
        )


def _functions(tool: dict[str, object]) -> object:
    return next((tool[key] for key in (*_SNAKE, *_SNAKE.values()) if key in tool), None)


def _rewrite(dialect: Dialect, raw: bytes, changes: Mapping[int, Mended | None]) -> bytes:
    """One element of the array; empty if nothing of it is left."""
    tool = json.loads(raw)
    if dialect is Dialect.GEMINI:
        functions = _functions(tool)
        kept: list[object] = []
        for inner, function in enumerate(functions if isinstance(functions, list) else ()):
            if inner not in changes:
                kept.append(function)
            elif (change := changes[inner]) is not None:
                kept.append(_mend(function, change, _gemini_field(function)))
        for key in (*_SNAKE, *_SNAKE.values()):
            if key in tool:
                tool[key] = kept
        return _write(tool) if kept or len(tool) > 1 else b""
    change = changes[0]
    if change is None:
        return b""
    if dialect is Dialect.CHAT:
        tool["function"] = _mend(tool["function"], change, "parameters")
    else:
        field = "parameters" if dialect is Dialect.RESPONSES else "input_schema"
        tool = _mend(tool, change, field)
    return _write(tool)


def _gemini_field(function: object) -> str:
    return next((f for f in _GEMINI_FIELDS if isinstance(function, dict) and f in function), "")


def _mend(function: object, change: Mended, field: str) -> dict[str, object]:
    mended: dict[str, object] = dict(function) if isinstance(function, dict) else {}
    if field == "parameters" and change.dialect is ToolDialect.GEMINI_JSON:
        del mended["parameters"]
        field = "parametersJsonSchema"
    mended[field or "parameters"] = change.schema
    if change.dialect in {ToolDialect.OPENAI, ToolDialect.ANTHROPIC} and mended.get("strict"):
        mended["strict"] = False
    if change.told:
        before = mended.get("description")
        words = " ".join(change.told)
        mended["description"] = f"{before} {words}" if isinstance(before, str) and before else words
    return mended


def _write(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()
