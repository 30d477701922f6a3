"""What Gemini contents bring along: images, media, and files that are not in the body.

Almost every content holds text and function calls alone. `_Plain` is the shape of those, in types
that `msgspec` checks while it skips: whatever fits it is harmless in each occurrence of each of its
names, so that duplicate names cannot hide anything. Only what does not fit is built and looked at.
"""

from typing import Any, Final

import msgspec

from ringfence.protocols import strict_json
from ringfence.protocols.field import Findings, Meaning, feature
from ringfence.protocols.gemini.field import is_no_finer
from ringfence.protocols.gemini.spelling import by_camel_case

_Skipped = msgspec.Raw
_NOTHING: Final = msgspec.Raw()


class _PlainResponse(msgspec.Struct, forbid_unknown_fields=True):
    id: _Skipped = _NOTHING
    name: _Skipped = _NOTHING
    response: _Skipped = _NOTHING


class _PlainPart(msgspec.Struct, forbid_unknown_fields=True):
    text: _Skipped = _NOTHING
    thought: _Skipped = _NOTHING
    thought_signature: _Skipped = _NOTHING
    thoughtSignature: _Skipped = _NOTHING  # noqa: N815 (a name on the wire)
    function_call: _Skipped = _NOTHING
    functionCall: _Skipped = _NOTHING  # noqa: N815 (likewise)
    function_response: _PlainResponse | None = None
    functionResponse: _PlainResponse | None = None  # noqa: N815 (likewise)


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    role: _Skipped = _NOTHING
    parts: list[_PlainPart] = []


_ALL_PLAIN: Final = msgspec.json.Decoder(list[_Plain])
_ONE_PLAIN: Final = msgspec.json.Decoder(_Plain)

_HARMLESS: Final = frozenset(
    {
        "text",
        "thought",
        "thoughtSignature",
        "functionCall",
        "executableCode",
        "codeExecutionResult",
        "partMetadata",
        "toolCall",
    }
)
"""Kinds of part whose whole content is in the body, as text."""

_OWN_FILES: Final = ("https://generativelanguage.googleapis.com/", "files/", "gs://")
"""How the addresses of files begin that the provider holds for its customer."""


def inspect(raw_array: bytes, contents: tuple[bytes, ...], findings: Findings) -> None:
    """Note what the contents hold besides text and function calls."""
    if _fits(_ALL_PLAIN, raw_array):
        return
    for raw in contents:
        inspect_one(raw, findings)


def inspect_one(raw: bytes, findings: Findings) -> None:
    """Note what one content holds; `systemInstruction` is one too."""
    if _fits(_ONE_PLAIN, raw):
        return
    content = findings.build(raw)
    if not isinstance(content, dict):
        strict_json.refuse("a content is not an object")
    _inspect_parts(content.get("parts"), findings)


def _fits(decoder: msgspec.json.Decoder[Any], raw: bytes) -> bool:
    try:
        decoder.decode(raw)
    except (msgspec.ValidationError, RecursionError):
        return False
    return True


def _inspect_parts(parts: object, findings: Findings) -> None:
    if parts is None:
        return
    if not isinstance(parts, list):
        strict_json.refuse("the `parts` of a content are not an array")
    for part in parts:
        if not isinstance(part, dict):
            strict_json.refuse("a part is not an object")
        for kind, value in by_camel_case(part).items():
            if kind not in _HARMLESS and value is not None:
                _inspect_kind(kind, value, findings)


def _inspect_kind(kind: str, value: object, findings: Findings) -> None:
    members = by_camel_case(value) if isinstance(value, dict) else {}
    match kind:
        case "inlineData":
            _count(members, findings)
        case "fileData":
            _inspect_file(members, findings)
        case "functionResponse":
            _inspect_parts(members.get("parts"), findings)
        case "mediaResolution":
            if set(members) != {"level"} or not is_no_finer(members["level"]):
                findings.priced.append(feature(kind, members.get("level")))
        case "videoMetadata":
            if members.get("fps") is not None:  # more frames than the usual one a second
                findings.priced.append(feature("videoMetadata.fps"))
        case _:
            findings.outside.append(feature(kind))


def _count(blob: Any, findings: Findings) -> None:  # noqa: ANN401 (members of parsed JSON)
    kind = blob.get("mimeType")
    if isinstance(kind, str) and kind.lower().startswith("image/"):
        findings.images += 1
    else:
        findings.media += 1


def _inspect_file(file: Any, findings: Findings) -> None:  # noqa: ANN401 (a lazily read object)
    uri = file.get("fileUri")
    is_own = isinstance(uri, str) and uri.lower().startswith(_OWN_FILES)
    findings.add(Meaning.OBJECT if is_own else Meaning.OUTSIDE, "fileData", uri)
