"""What the messages of a chat request bring along: images, media, and what is not in the body.

Almost every message holds nothing but text. `_Plain` is the shape of those, in types that `msgspec`
checks while it skips: whatever fits it is harmless in each occurrence of each of its names, so that
duplicate names cannot hide anything. Only what does not fit is built and looked at.
"""

from typing import Final, Literal

import msgspec

from ringfence.protocols import strict_json
from ringfence.protocols.field import Findings, Meaning, feature
from ringfence.protocols.strict_json import Span

_Skipped = msgspec.Raw
_NOTHING: Final = msgspec.Raw()


class Breakpoint(msgspec.Struct, forbid_unknown_fields=True):
    """A cache breakpoint with the usual lifetime."""

    mode: _Skipped = _NOTHING
    ttl: Literal["30m"] = "30m"


class _PlainPart(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["text", "refusal"] = "text"
    text: _Skipped = _NOTHING
    refusal: _Skipped = _NOTHING
    cache_control: _Skipped = _NOTHING
    prompt_cache_breakpoint: Breakpoint | None = None


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    role: _Skipped = _NOTHING
    content: str | list[_PlainPart] | None = None
    name: _Skipped = _NOTHING
    tool_calls: _Skipped = _NOTHING
    tool_call_id: _Skipped = _NOTHING
    function_call: _Skipped = _NOTHING
    refusal: _Skipped = _NOTHING
    reasoning: _Skipped = _NOTHING
    reasoning_content: _Skipped = _NOTHING
    reasoning_details: _Skipped = _NOTHING
    annotations: _Skipped = _NOTHING
    audio: None = None


_ALL_PLAIN: Final = msgspec.json.Decoder(list[_Plain])
_ONE_PLAIN: Final = msgspec.json.Decoder(_Plain)

_MESSAGE_NAMES: Final = frozenset({"role", "content", "audio", "images"})
IMAGE_PARTS: Final = frozenset({"image_url", "image", "input_image"})
MEDIA_PARTS: Final = frozenset(
    {"input_audio", "audio", "audio_url", "video", "video_url", "input_video", "document"}
)
"""OpenAI's `input_audio`; the others are known to vLLM and Mistral."""
_TEXT_PARTS: Final = frozenset({"text", "refusal", "thinking", "reasoning"})
_UNTYPED: Final = frozenset({"type", "text", "refusal", "cache_control", "prompt_cache_breakpoint"})
"""What a part without a type may hold; servers guess the type of others by their names."""
_PART_NAMES: Final = _UNTYPED | _TEXT_PARTS | IMAGE_PARTS | MEDIA_PARTS | {"file", "file_id"}


def inspect(body: bytes, span: Span, messages: tuple[bytes, ...], findings: Findings) -> None:
    """Note what the messages hold besides text."""
    try:
        _ALL_PLAIN.decode(body[span[0] : span[1]])
    except (msgspec.ValidationError, RecursionError):
        for raw in messages:
            if not _is_plain(raw):
                _inspect_message(findings.build(raw), findings)


def _is_plain(raw: bytes) -> bool:
    try:
        _ONE_PLAIN.decode(raw)
    except (msgspec.ValidationError, RecursionError):
        return False
    return True


def _inspect_message(message: object, findings: Findings) -> None:
    if not isinstance(message, dict):
        strict_json.refuse("a message is not an object")
    strict_json.refuse_lookalikes(message, _MESSAGE_NAMES)
    content = message.get("content")
    if isinstance(content, list):
        for part in content:
            _inspect_part(part, findings)
    elif content is not None and not isinstance(content, str):
        strict_json.refuse("the `content` of a message is neither text nor a list of parts")
    if message.get("audio") is not None:  # an earlier spoken answer, by its id
        findings.add(Meaning.OBJECT, "audio", message["audio"])
    if isinstance(message.get("images"), list):  # Ollama
        findings.images += len(message["images"])


def _inspect_part(part: object, findings: Findings) -> None:
    if isinstance(part, str):  # Mistral
        return
    if not isinstance(part, dict):
        strict_json.refuse("a part of a message's `content` is not an object")
    strict_json.refuse_lookalikes(part, _PART_NAMES)
    inspect_breakpoint(part, findings)
    for kind in _kinds(part):
        if kind in _TEXT_PARTS:
            continue
        if kind in IMAGE_PARTS:
            findings.images += 1
        elif kind in MEDIA_PARTS:
            findings.media += 1
        elif kind == "file":
            inspect_file(part.get("file"), findings)
        else:
            findings.outside.append(feature(kind))
    _inspect_image(part, findings)


def _kinds(part: dict[str, object]) -> set[str]:
    """What a part is by its type, and by every name as which a server might take it."""
    given = {name for name, value in part.items() if value is not None}
    if "type" not in part:
        return given - _UNTYPED
    kind = part["type"]
    if not isinstance(kind, str):
        strict_json.refuse("the `type` of a part of a message is not a text")
    media = given & (IMAGE_PARTS | MEDIA_PARTS | {"file"})
    family = next((parts for parts in (IMAGE_PARTS, MEDIA_PARTS) if kind in parts), {kind})
    return media if media & family else media | {kind}


def _inspect_image(part: dict[str, object], findings: Findings) -> None:
    place = part.get("image_url")
    url = place.get("url") if isinstance(place, dict) else place
    if isinstance(url, str) and not url.lower().startswith(("https:", "http:", "data:")):
        findings.add(Meaning.OBJECT, "image_url", url)
    if part.get("file_id") is not None:
        findings.add(Meaning.OBJECT, "file_id", part["file_id"])


def inspect_file(file: object, findings: Findings) -> None:
    """Note a file: its bytes are in the body, or the provider holds or fetches them."""
    members = file if isinstance(file, dict) else {"file": file}
    if members.get("file_data") is not None:
        findings.media += 1
    if members.get("file_id") is not None:
        findings.add(Meaning.OBJECT, "file_id", members["file_id"])
    for name in ("file_url", "file"):
        if members.get(name) is not None:
            findings.add(Meaning.OUTSIDE, name, members[name])


def inspect_breakpoint(part: dict[str, object], findings: Findings) -> None:
    """Note a cache breakpoint that asks for more than the usual lifetime."""
    mark = part.get("prompt_cache_breakpoint")
    ttl = mark.get("ttl") if isinstance(mark, dict) else None
    if ttl not in (None, "30m"):
        findings.add(Meaning.PRICED, "prompt_cache_breakpoint.ttl", ttl)
