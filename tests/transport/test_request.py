import pytest

from ringfence.domain.error import PeerError
from ringfence.transport.request import IncomingRequest


class Source:
    """A connection that is never asked for more."""

    def hold_body(self) -> None: ...

    def release_body(self) -> None: ...

    def want_body(self) -> None: ...


def request_with(headers: list[tuple[bytes, bytes]], target: bytes = b"/") -> IncomingRequest:
    index = dict(headers)
    return IncomingRequest(
        Source(),
        method=b"GET",
        target=target,
        version="1.1",
        headers=headers,
        index=index,
        has_repeats=len(index) != len(headers),
        length=0,
        peer="",
    )


def test_a_header_is_found_by_its_lower_case_name() -> None:
    request = request_with([(b"a", b"1"), (b"b", b"")])
    assert (request.header(b"a"), request.header(b"b"), request.header(b"c")) == (b"1", b"", None)


def test_a_repeated_header_has_no_single_value_and_the_others_do() -> None:
    request = request_with([(b"a", b"1"), (b"b", b"2"), (b"a", b"1")])
    assert request.header(b"b") == b"2"
    with pytest.raises(PeerError) as caught:
        request.header(b"a")
    assert caught.value.code == "request_malformed"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [(b"/", b"/", b""), (b"/a?", b"/a", b""), (b"/a%3Fb?c?d=%20", b"/a%3Fb", b"c?d=%20")],
)
def test_the_target_is_parted_at_the_first_question_mark(
    target: bytes, path: bytes, query: bytes
) -> None:
    request = request_with([], target)
    assert (request.path, request.query) == (path, query)
