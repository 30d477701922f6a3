"""Paths: what leads elsewhere is refused, what may be read differently is told."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.protocols.request_path import read_path


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"/", "/"),
        (b"/v1/items/", "/v1/items/"),
        (b"/.well-known/x", "/.well-known/x"),
        (b"/a%20b", "/a b"),
        (b"/%61dmin", "/admin"),
        (b"/caf%C3%A9", "/caf\u00e9"),
        (b"/a.b/..c/d..", "/a.b/..c/d.."),
        (b"*", "*"),
    ],
)
def test_a_path_is_read_as_servers_read_it(raw: bytes, text: str) -> None:
    path = read_path(raw)
    assert (path.text, path.doubt) == (text, "")


@pytest.mark.parametrize(
    "raw",
    [
        b"/allowed/../admin",
        b"/allowed/..",
        b"/./x",
        b"/.",
        b"/allowed/%2e%2e/admin",
        b"/allowed/.%2E/admin",
        b"/allowed/%252e%252e/admin",
        b"/allowed/..;/admin",
        b"/allowed/..;x=1/admin",
        b"/allowed/..%2fadmin",
        b"/allowed/..%5cadmin",
        b"/allowed\\..\\admin",
        b"/allowed/%5c../admin",
        b"/a%00b",
        b"/a%0d%0ab",
        b"/a%7fb",
        b"/a%",
        b"/a%2",
        b"/a%zz",
        b"admin",
        b"",
        b"/%25252525252e",
    ],
)
def test_what_leads_elsewhere_or_says_nothing_certain_is_refused(raw: bytes) -> None:
    with pytest.raises(PeerError):
        read_path(raw)


@pytest.mark.parametrize(
    "raw",
    [b"/@types%2fnode", b"//admin", b"/a//b", b"/a;b", b"/a%3Bb", b"/a%2541", b"/%ff"],
)
def test_what_servers_may_read_differently_is_told(raw: bytes) -> None:
    assert read_path(raw).doubt


@given(st.text(max_size=30))
def test_whatever_is_encoded_once_is_read_as_it_was(text: str) -> None:
    raw = b"/" + quote(text, safe="/").encode()
    try:
        path = read_path(raw)
    except PeerError:
        return
    assert path.text == f"/{text}"


@given(st.binary(max_size=40))
def test_no_path_that_passes_holds_a_way_up(data: bytes) -> None:
    try:
        path = read_path(b"/" + data)
    except PeerError:
        return
    segments = path.text.split("/")
    assert ".." not in segments
    assert "." not in segments
    assert "\\" not in path.text
