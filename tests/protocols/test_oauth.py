import json
from urllib.parse import parse_qs, urlsplit

import pytest

from ringfence.domain.error import PeerError, UsageError
from ringfence.protocols import oauth
from ringfence.protocols.oauth import Issuer

URL = "https://crm.example/tenant/mcp"


def test_metadata_are_looked_for_where_the_standards_say() -> None:
    assert oauth.resource_places(URL) == (
        "https://crm.example/.well-known/oauth-protected-resource/tenant/mcp",
        "https://crm.example/.well-known/oauth-protected-resource",
    )
    assert oauth.issuer_places("https://id.example") == (
        "https://id.example/.well-known/oauth-authorization-server",
        "https://id.example/.well-known/openid-configuration",
    )
    assert oauth.issuer_places("https://id.example/t1/") == (
        "https://id.example/.well-known/oauth-authorization-server/t1",
        "https://id.example/.well-known/openid-configuration/t1",
        "https://id.example/t1/.well-known/openid-configuration",
    )


@pytest.mark.parametrize(
    ("challenge", "expected"),
    [
        ('Bearer resource_metadata="https://a/m", scope="x"', "https://a/m"),
        ('Bearer error="invalid_token", resource_metadata = "https://a/m"', "https://a/m"),
        ("Bearer", ""),
        ("", ""),
    ],
)
def test_a_challenge_names_the_metadata(challenge: str, expected: str) -> None:
    assert oauth.named_metadata(challenge) == expected


@pytest.mark.parametrize(
    ("resource", "is_taken"),
    [
        (URL, True),
        ("https://crm.example/tenant", True),
        ("https://crm.example/", True),
        ("https://crm.example", True),
        ("https://crm.example/ten", False),
        ("https://crm.example/other/mcp", False),
        ("http://crm.example/tenant/mcp", False),
        ("https://crm.example:8443/tenant/mcp", False),
        ("", False),
    ],
)
def test_metadata_are_of_the_server_or_of_what_stands_above_it(
    resource: str, *, is_taken: bool
) -> None:
    raw = json.dumps(
        {"resource": resource, "authorization_servers": ["https://id.example"]}
    ).encode()
    if is_taken:
        assert oauth.read_resource(raw, URL).authorization_servers == ("https://id.example",)
    else:
        with pytest.raises(PeerError):
            oauth.read_resource(raw, URL)


@pytest.mark.parametrize(
    ("address", "url", "is_taken"),
    [
        ("https://id.example/a", URL, True),
        ("http://id.example/a", URL, False),
        ("http://127.0.0.1/a", URL, False),
        ("https://localhost/a", URL, False),
        ("http://127.0.0.1:1/a", "http://127.0.0.1:2/mcp", True),
        ("https://user:pass@id.example/a", URL, False),
        ("javascript:alert(1)", URL, False),
        ("https://", URL, False),
        ("https://[", URL, False),
    ],
)
def test_what_a_server_names_is_gone_to_over_https_alone(
    address: str, url: str, *, is_taken: bool
) -> None:
    if is_taken:
        oauth.check_address(address, url)
    else:
        with pytest.raises(PeerError):
            oauth.check_address(address, url)


def test_the_challenge_is_that_of_the_standard() -> None:
    # RFC 7636, appendix B.
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert oauth.challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_browser_is_asked_with_everything_that_binds_the_answer() -> None:
    issuer = Issuer(issuer="https://id.example", authorization_endpoint="https://id.example/a?x=1")
    url = oauth.authorization_url(
        issuer,
        client="us",
        redirect_uri="http://127.0.0.1:1/callback",
        scopes=("read", "write"),
        state="s",
        verifier="v" * 43,
        resource=URL,
    )
    asked = parse_qs(urlsplit(url).query)
    assert asked["resource"] == [URL]
    assert (asked["scope"], asked["state"], asked["x"]) == (["read write"], ["s"], ["1"])
    assert asked["code_challenge_method"] == ["S256"]
    assert "v" * 43 not in url


@pytest.mark.parametrize(
    ("stated", "names_itself", "is_taken"),
    [
        ("https://id.example", True, True),
        ("https://id.example", False, True),
        ("", False, True),
        ("", True, False),
        ("https://evil.example", False, False),
    ],
)
def test_an_answer_of_another_server_is_refused(
    stated: str, *, names_itself: bool, is_taken: bool
) -> None:
    issuer = Issuer(issuer="https://id.example", names_itself=names_itself)
    if is_taken:
        oauth.check_issuer(issuer, stated)
    else:
        with pytest.raises(PeerError):
            oauth.check_issuer(issuer, stated)


def test_a_browser_comes_back_to_nobody_else() -> None:
    oauth.check_redirect("http://127.0.0.1:7/callback")
    oauth.check_redirect("https://plane.example/callback")
    for address in ("http://plane.example/callback", "file:///x", "http://["):
        with pytest.raises(UsageError):
            oauth.check_redirect(address)
