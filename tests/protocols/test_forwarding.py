"""Headers on their way to the next hop."""

import pytest

from ringfence.protocols.forwarding import (
    back,
    onward,
    override,
    override_in,
    override_in_form,
)


def test_what_belongs_to_one_hop_stays_there() -> None:
    headers = [
        (b"host", b"evil.example"),
        (b"connection", b"keep-alive, X-Private , close"),
        (b"x-private", b"1"),
        (b"proxy-authorization", b"Basic x"),
        (b"proxy-anything", b"x"),
        (b"te", b"trailers"),
        (b"trailer", b"x"),
        (b"transfer-encoding", b"chunked"),
        (b"content-length", b"3"),
        (b"upgrade", b"h2c"),
        (b"http2-settings", b"x"),
        (b"expect", b"100-continue"),
        (b"x-forwarded-for", b"10.0.0.1"),
        (b"forwarded", b"for=10.0.0.1"),
        (b"via", b"1.1 x"),
        (b"ringfence-invocation", b"inv_1"),
        (b"accept", b"*/*"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
    ]
    assert onward(headers) == [(b"accept", b"*/*"), (b"cookie", b"a=1"), (b"cookie", b"b=2")]


def test_answers_lose_what_leads_around_us_and_what_looks_like_ours() -> None:
    headers = [
        (b"alt-svc", b'h3=":443"'),
        (b"proxy-authenticate", b"Basic"),
        (b"ringfence-action", b"act_forged"),
        (b"content-length", b"3"),
        (b"set-cookie", b"a=1"),
        (b"location", b"https://elsewhere.example/"),
    ]
    assert back(headers) == [
        (b"set-cookie", b"a=1"),
        (b"location", b"https://elsewhere.example/"),
    ]


def test_a_name_in_connection_takes_only_that_header_away() -> None:
    assert onward([(b"connection", b"close"), (b"close", b"x")]) == [(b"close", b"x")]


def test_what_makes_another_request_of_one_is_found() -> None:
    assert override([(b"accept", b"x"), (b"x-original-url", b"/admin")]) == "x-original-url"
    assert override([(b"accept", b"x")]) == ""
    assert override([(b"x_http_method_override", b"DELETE")]) == "x_http_method_override"


def test_names_are_one_however_servers_write_them() -> None:
    headers = [
        (b"x_forwarded_for", b"10.0.0.1"),
        (b"transfer_encoding", b"chunked"),
        (b"content_length", b"3"),
        (b"proxy_authorization", b"x"),
        (b"ringfence_invocation", b"x"),
        (b"x_own", b"kept"),
    ]
    assert onward(headers) == [(b"x_own", b"kept")]


@pytest.mark.parametrize(
    "query",
    [
        b"_method=DELETE",
        b"a=1&_method=DELETE",
        b"a=1;_METHOD=delete",
        b"a=1&%5Fmethod=DELETE",
        b"a=1&%5fm%65thod=DELETE",
        b"X-HTTP-Method-Override=PUT",
        b"_method",
        b"+_method=put",
        b"a=1&%20_MeThOd=put",
        b".method=put",
        b"+method=put",
        b"%20method=put",
        b"x.http.method.override=put",
    ],
)
def test_a_parameter_that_makes_another_request_of_one_is_found(query: bytes) -> None:
    assert override_in(query)
    assert override_in_form(b"Application/x-www-form-urlencoded; charset=utf-8", query)
    assert not override_in_form(b"application/json", query)


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"method=flickr.x",
        b"payment_method=card",
        b"a=_method",
        b"%",
        b"_methods=1",
        b"redirect_uri=https%3A%2F%2Fa.example%2F%3Fa%3D1%26_method%3Dput",
        b"a=%3B_method",
        b"payment.method=card",
    ],
)
def test_others_are_not(query: bytes) -> None:
    assert override_in(query) == ""


def test_a_part_of_a_form_is_found_too() -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\nDELETE\r\n--x--\r\n'
    kind = b"multipart/form-data; boundary=x"
    assert override_in_form(kind, head % b"_method") == "_method"
    assert override_in_form(kind, head % b"payment_method") == ""


@pytest.mark.parametrize(
    "line",
    [
        b'content-disposition : FORM-DATA; NAME = "_Method"',
        b"Content-Disposition: form-data; name=_method",
        b"Content-Disposition: form-data; name='_method'",
        b'Content-Disposition: form-data;\r\n name="_method"',
        b'Content-Disposition: form-data; name=" _method"',
        b'Content-Disposition: form-data; name=".method"',
        b"Content-Disposition: form-data; name*=utf-8''%5Fmethod",
        b'Content-Disposition: form-data; filename="a"; name="_m\\ethod"',
    ],
)
def test_however_its_head_is_written(line: bytes) -> None:
    body = b"--x\r\n" + line + b"\r\n\r\nDELETE\r\n--x--\r\n"
    assert override_in_form(b"multipart/form-data; boundary=x", body) == "_method"


def test_what_is_in_a_file_makes_no_other_request() -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="page"; filename="a.html"\r\n\r\n'
    body = head + b'<input name="_method" value="put">\r\n--x--\r\n'
    assert override_in_form(b"multipart/form-data; boundary=x", body) == ""
