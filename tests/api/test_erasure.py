"""Erasing and holding as people do it is told in `tests/cli/test_verification.py`."""

import msgspec
import pytest

from ringfence.api.erasure import EraseOrder, HoldOrder


@pytest.mark.parametrize(
    "body",
    [
        b'{"reason":"x"}',
        b'{"reason":"x","action":"a","user":"b"}',
        b'{"reason":"","action":"a"}',
        b'{"action":"a"}',
    ],
)
def test_an_order_names_one_thing_and_a_reason(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=EraseOrder)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"subject":"organisation","reason":""}', type=HoldOrder)
    assert msgspec.json.decode(b'{"reason":"x","action":"a"}', type=EraseOrder).action == "a"
