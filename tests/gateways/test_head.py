import pytest

from ringfence.domain.error import PeerError
from ringfence.enforcement.directory import digest_of
from ringfence.gateways import head as heads
from ringfence.testing.http import MemoryRequest
from ringfence.transport.http import Headers

BEARER = (b"authorization", b"Bearer rf_1")


def request(target: str = "/v1/models", headers: Headers = (BEARER,)) -> MemoryRequest:
    return MemoryRequest("POST", target, headers=headers)


def test_a_head_is_read_once_for_all_requests_that_repeat_it() -> None:
    memo: dict[object, object] = {}
    first, second = request(), request()
    first.memo = second.memo = memo
    assert heads.digest(first) == digest_of(b"rf_1")
    read = heads.read(first)
    second.headers = ()  # what was remembered is not read again
    assert heads.digest(second) == digest_of(b"rf_1")
    assert heads.read(second) is read


def test_without_a_memo_each_head_is_read() -> None:
    assert heads.read(request()) == heads.read(request())
    assert heads.digest(request(headers=())) is None
    assert heads.digest(request(headers=((b"x-api-key", b"rf_2"),))) == digest_of(b"rf_2")


def test_a_head_that_is_refused_is_refused_each_time() -> None:
    twice = request(headers=(BEARER, (b"x-api-key", b"rf_2"), (b"content-encoding", b"br")))
    twice.memo = {}
    for _ in range(2):
        with pytest.raises(PeerError):
            heads.digest(twice)
        with pytest.raises(PeerError):
            heads.read(twice)


def test_a_prefix_names_the_invocation() -> None:
    head = heads.read(request("/invocation/run-1/v1/models"))
    assert (head.path, head.hints) == (b"/v1/models", (("ringfence-invocation", "run-1"),))
    assert heads.named(b"/v1/models") == (b"", b"/v1/models")
