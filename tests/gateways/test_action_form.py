"""What is asked is read strictly: what nobody knows is refused."""

import msgspec
import pytest

from ringfence.gateways.action_form import ActionOrder, ActionReport


@pytest.mark.parametrize(
    "raw",
    [
        b'{"tool":"a__b","unknown":1}',
        b'{"tool":"a__b","seconds":0}',
        b'{"tool":"a__b","wait_s":301}',
        b'{"command":{"argv":"git"}}',
        b'{"command":{"argv":[1]}}',
    ],
)
def test_an_order_that_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw, type=ActionOrder)


def test_an_exit_code_is_one_byte() -> None:
    assert msgspec.json.decode(b'{"status":"ok","exit_code":255}', type=ActionReport).exit_code
    for code in (b"256", b"-1", b'"0"'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(b'{"status":"ok","exit_code":' + code + b"}", type=ActionReport)
