"""OpenAI embeddings: vectors made from a digest of each text, so that equal texts are equal."""

import base64
import hashlib
import math
import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from ringfence.domain.usage import Usage

_DIMENSIONS = 16


def whole(body: bytes, model: str, used: Usage | None) -> dict[str, Any]:
    """The document that answers a request."""
    request = msgspec.json.decode(body)
    inputs = _inputs(request["input"])
    dimensions = request.get("dimensions") or _DIMENSIONS
    as_base64 = request.get("encoding_format") == "base64"
    vectors = (vector(text, dimensions) for text in inputs)
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(v) if as_base64 else v}
        for index, v in enumerate(vectors)
    ]
    document = {"object": "list", "model": model, "data": data}
    if used is None:
        return document
    tokens = used.input_tokens
    return {**document, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def vector(text: str, dimensions: int) -> list[float]:
    """A unit vector that depends on the text alone."""
    size = dimensions * 2
    raw = hashlib.shake_256(text.encode()).digest(size)
    numbers = [value - 32767.5 for value in struct.unpack(f">{dimensions}H", raw)]
    length = math.sqrt(sum(number * number for number in numbers))
    return [number / length for number in numbers]


def _inputs(given: object) -> Sequence[str]:
    """A text, several, or token numbers."""
    if isinstance(given, str):
        return [given]
    if isinstance(given, list) and given and isinstance(given[0], int):
        return [str(given)]
    return [str(item) for item in given] if isinstance(given, list) else []


def _packed(numbers: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
