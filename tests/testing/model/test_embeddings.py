import base64
import json
import math
import struct

import pytest

from ringfence.domain.usage import Usage
from ringfence.testing.model import embeddings

USED = Usage(input_tokens=3, output_tokens=0)


def answer(**request: object) -> dict[str, object]:
    return embeddings.whole(json.dumps(request).encode(), "m", USED)


def vectors(**request: object) -> list[list[float]]:
    data = embeddings.whole(json.dumps(request).encode(), "m", USED)["data"]
    return [entry["embedding"] for entry in data]


def test_equal_texts_have_equal_unit_vectors_of_the_size_asked_for() -> None:
    first, second, third = vectors(input=["a", "b", "a"], dimensions=8)
    assert first == third
    assert first != second
    assert len(first) == 8
    assert math.isclose(sum(number * number for number in first), 1)


def test_vectors_may_be_packed() -> None:
    (plain,) = vectors(input="a", dimensions=4)
    packed = embeddings.whole(b'{"input":"a","dimensions":4,"encoding_format":"base64"}', "m", USED)
    numbers = struct.unpack("<4f", base64.b64decode(packed["data"][0]["embedding"]))
    assert numbers == pytest.approx(plain)


def test_token_numbers_are_one_input() -> None:
    assert len(vectors(input=[1, 2, 3])) == 1


def test_usage_is_given_unless_there_is_none() -> None:
    assert answer(input="a")["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert "usage" not in embeddings.whole(b'{"input":"a"}', "m", None)
