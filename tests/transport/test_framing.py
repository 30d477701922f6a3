import pytest

from ringfence.transport import framing
from ringfence.transport.framing import Malformed
from ringfence.transport.http import Headers, Origin


@pytest.mark.parametrize(
    "host", [b"a", b"a.example:80", b"127.0.0.1", b"[::1]", b"[::1]:8484", b"a_b"]
)
def test_a_host_is_a_name_or_an_address_with_or_without_a_port(host: bytes) -> None:
    framing.check_host(1, host, "1.1")


@pytest.mark.parametrize(
    "host", [b"", b"a b", b"a/b", b"a@b", b"::1", b"a:b", b"a:123456", b"a, b", b"a\n", b"\xe9"]
)
def test_anything_else_is_no_host(host: bytes) -> None:
    with pytest.raises(Malformed):
        framing.check_host(1, host, "1.1")


@pytest.mark.parametrize(("hosts", "version"), [(0, "1.1"), (2, "1.1"), (2, "1.0")])
def test_a_host_is_given_once(hosts: int, version: str) -> None:
    with pytest.raises(Malformed):
        framing.check_host(hosts, b"a", version)


def test_http_1_0_may_leave_out_the_host() -> None:
    framing.check_host(0, b"", "1.0")


@pytest.mark.parametrize("target", [b"", b"*", b"a:80", b"http://a/", b"/a#b"])
def test_a_target_is_a_path(target: bytes) -> None:
    with pytest.raises(Malformed):
        framing.check_target(target)


def test_a_response_head_ends_with_one_empty_line() -> None:
    for headers, own in (
        ([], []),
        ([(b"a", b"b")], []),
        ([], [b"c: d"]),
        ([(b"a", b"b")], [b"c: d"]),
    ):
        head = framing.response_head(204, headers, own)
        assert head.startswith(b"HTTP/1.1 204 No Content\r\ndate: ")
        assert head.endswith(b"\r\n\r\n")
        assert head.count(b"\r\n\r\n") == 1
        assert head.count(b"\r\n") == 3 + len(headers) + len(own)


def test_an_unknown_status_has_no_phrase() -> None:
    assert framing.response_head(599, [], []).startswith(b"HTTP/1.1 599 \r\n")


def request_head(method: bytes, target: bytes, headers: Headers, length: int) -> bytes:
    start = framing.request_start(b"h", method, target, headers)
    return start + framing.request_end(method, length)


def test_a_request_head_ends_with_one_empty_line() -> None:
    assert request_head(b"GET", b"/a?b", [], 0) == b"GET /a?b HTTP/1.1\r\nhost: h\r\n\r\n"
    assert (
        request_head(b"POST", b"/", [(b"a", b"b")], 0)
        == b"POST / HTTP/1.1\r\nhost: h\r\na: b\r\ncontent-length: 0\r\n\r\n"
    )


@pytest.mark.parametrize("bad", [b"a\rb", b"a\nb", b"a\0b", b"a\r\n\r\nb"])
def test_no_part_of_a_head_may_end_a_line(bad: bytes) -> None:
    for headers in ([(bad, b"v")], [(b"n", bad)]):
        with pytest.raises(ValueError, match="line end"):
            framing.response_head(200, headers, [])
        with pytest.raises(ValueError, match="line end"):
            framing.request_start(b"h", b"GET", b"/", headers)
    with pytest.raises(ValueError, match="line end"):
        framing.request_start(b"h", b"GET", b"/" + bad, [])


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (Origin(scheme="http", host="a", port=80), b"a"),
        (Origin(scheme="https", host="a", port=443), b"a"),
        (Origin(scheme="https", host="a", port=80), b"a:80"),
        (Origin(scheme="http", host="::1", port=8484), b"[::1]:8484"),
    ],
)
def test_the_authority_leaves_out_what_the_scheme_says(origin: Origin, expected: bytes) -> None:
    assert framing.authority(origin) == expected
