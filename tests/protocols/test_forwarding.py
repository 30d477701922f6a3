"""Headers on their way to the next hop."""

from ringfence.protocols.forwarding import back, onward, override


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
