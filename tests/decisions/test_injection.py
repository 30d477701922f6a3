import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.injection import Injected, at_host, is_plain, second_path, subprotocols
from ringfence.domain.secret import (
    AsBasic,
    FromStore,
    InHeader,
    InQuery,
    SecretBinding,
    SecretDefinition,
    SecretLocation,
)

BEARER = InHeader(prefix="Bearer ")


def secret(name: str, *bindings: SecretBinding) -> SecretDefinition:
    return SecretDefinition(name=name, origin=FromStore(), bindings=bindings)


def bound(
    location: SecretLocation = BEARER,
    host: str = "api.example",
    path: str = "/",
    methods: tuple[str, ...] = (),
) -> SecretBinding:
    return SecretBinding(host=host, path=path, methods=methods, location=location)


def choose(
    secrets: list[SecretDefinition], host: str, port: int, method: bytes, path: bytes
) -> Injected | None:
    here = at_host(secrets, host, port)
    return None if here is None else here.choose(method, path)


def names(found: Injected | None) -> tuple[str, ...] | None:
    return None if found is None else tuple(sorted(found.names))


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("api.example", 443, ("crm",)),
        ("api.example", 8443, None),
        ("www.api.example", 443, None),
        ("api.example.evil", 443, None),
        ("example", 443, None),
    ],
)
def test_only_the_exact_host_and_port_get_a_secret(
    host: str, port: int, expected: tuple[str, ...] | None
) -> None:
    assert names(choose([secret("crm", bound())], host, port, b"GET", b"/")) == expected


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        (b"GET", b"/v1", ("crm",)),
        (b"GET", b"/v1/", ("crm",)),
        (b"GET", b"/v1/deals", ("crm",)),
        (b"POST", b"/v1/deals", ()),
        (b"get", b"/v1/deals", ()),
        (b"TRACE", b"/v1/deals", ()),
        (b"GET", b"/v10", ()),
        (b"GET", b"/v2", ()),
        (b"GET", b"/", ()),
        (b"GET", b"/v1/../v2", ()),
        (b"GET", b"/v1/%2e%2e/v2", ()),
        (b"GET", b"/v1/%2E%2E%2fv2", ()),
        (b"GET", b"/v1/%252e%252e/v2", ()),
        (b"GET", b"/v1//v2", ()),
        (b"GET", b"/v1/.", ()),
        (b"GET", b"/v1;/v2", ()),
        (b"GET", b"/v1\\..\\v2", ()),
        (b"GET", b"/%76%31/x", ()),
        (b"GET", b"v1/x", ()),
        (b"GET", b"*", ()),
    ],
)
def test_method_and_path_prefix_decide(
    method: bytes, path: bytes, expected: tuple[str, ...]
) -> None:
    crm = secret("crm", bound(path="/v1", methods=("GET",)))
    found = choose([crm], "api.example", 443, method, path)
    assert names(found) == expected
    assert found is not None
    assert "authorization" in found.headers  # taken away, added to or not


def test_the_longest_path_is_meant() -> None:
    wide, narrow = secret("wide", bound()), secret("narrow", bound(path="/admin"))
    for secrets in ([wide, narrow], [narrow, wide]):
        assert names(choose(secrets, "api.example", 443, b"GET", b"/admin/x")) == ("narrow",)
        assert names(choose(secrets, "api.example", 443, b"GET", b"/x")) == ("wide",)


def test_two_places_take_two_secrets() -> None:
    key = secret("key", bound(InHeader(name="dd-api-key")))
    application = secret("application", bound(InHeader(name="dd-application-key")))
    query = secret("query", bound(InQuery(name="Signature")))
    found = choose([key, application, query], "api.example", 443, b"GET", b"/")
    assert names(found) == ("application", "key", "query")
    assert found is not None
    assert {"dd-api-key", "dd-application-key", "authorization", "cookie"} <= found.headers
    assert {"signature", "access_token"} <= found.parameters


def test_basic_and_bearer_take_the_same_place() -> None:
    user = secret("user", bound(AsBasic(user="git"), path="/repo.git"))
    found = choose([secret("crm", bound()), user], "api.example", 443, b"GET", b"/repo.git/info")
    assert names(found) == ("user",)


@pytest.mark.parametrize(
    ("path", "expected", "leads_nowhere_else"),
    [("/v1", ("crm",), True), ("/v2", (), False), ("/", ("crm",), False)],
)
def test_where_a_secret_for_some_paths_is_added_no_header_may_name_another_one(
    path: str, expected: tuple[str, ...], *, leads_nowhere_else: bool
) -> None:
    found = choose([secret("crm", bound(path=path))], "api.example", 443, b"MOVE", b"/v1/a")
    assert names(found) == expected
    assert found is not None
    assert found.leads_nowhere_else is leads_nowhere_else
    assert not {"destination", "x-ms-copy-source"} & found.headers


def test_a_header_that_names_a_second_path_is_found() -> None:
    assert second_path([(b"accept", b"x"), (b"x_amz_copy_source", b"/a")]) == "x-amz-copy-source"
    assert second_path([(b"destination", b"/a")]) == "destination"
    assert second_path([(b"accept", b"x")]) == ""


def test_what_a_binding_strips_is_taken_away_wherever_it_stands() -> None:
    binding = SecretBinding(host="api.example", location=BEARER, strip=("x-own",))
    found = choose([secret("crm", binding)], "api.example", 443, b"GET", b"/")
    assert found is not None
    assert "x-own" in found.headers
    assert "x_own" in found.parameters


@given(st.lists(st.sampled_from(["a", "b", ".", "..", "%2e", "%2f", ";", ""]), max_size=6))
def test_a_plain_path_cannot_leave_its_prefix(segments: list[str]) -> None:
    path = "/v1/" + "/".join(segments)
    if is_plain(path.encode()):
        assert not {".", "..", "%2e", "%2f", ";"} & set(segments)
        assert "//" not in path


@pytest.mark.parametrize("path", [b"/.well-known/x", b"/a.b/c..d/...", b"/a/b%20c", b"/", b"/a/"])
def test_a_path_with_harmless_dots_and_escapes_is_plain(path: bytes) -> None:
    assert is_plain(path)


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/%c0%ae%c0%ae/admin",
        b"/v1/%C0%AF..%c0%afadmin",
        b"/v1/%e0%80%ae%e0%80%ae/x",
        b"/v1/%ef%bc%8e%ef%bc%8e/admin",
        b"/v1%ef%bc%8fadmin",
        b"/v1/%e2%80%a4%e2%80%a4/admin",
        b"/v1/%f0%80%80%ae./x",
        b"/v1/%c0%2e/x",
        b"/v1/.%ff./admin",
        b"/v1/..%a0/admin",
        b"/v1/%e2%80%a5/admin",
        b"/v1/%ef%bc%8e./admin",
        b"/v1/..%c2%a0/admin",
        b"/v1/%e2%84%80",
        b"/v1/%ef%bc%9bx",
        b"/v1/..%20/admin",
        b"/v1/%20../admin",
        b"/v1/..%09/admin",
        b"/v1/..%0d/admin",
        b"/v1/%ef%bc%85%32e",
    ],
)
def test_a_path_that_some_server_takes_for_a_way_up_is_not_plain(path: bytes) -> None:
    assert not is_plain(path)


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/%C3%A9t%C3%A9",
        b"/v1/%e6%97%a5",
        b"/v1/caf%C3%A9.txt",
        b"/v1/caf%E9.txt",
        b"/v1/%ff",
        b"/docs/Report%E2%80%A6.pdf",
        b"/docs/a%E2%80%A6",
    ],
)
def test_a_path_with_words_of_other_scripts_is_plain(path: bytes) -> None:
    assert is_plain(path)


@pytest.mark.parametrize(
    ("offered", "left"),
    [
        (
            b"realtime, openai-insecure-api-key.sk-own, openai-beta.realtime-v1",
            b"realtime, openai-beta.realtime-v1",
        ),
        (b"v4.channel.k8s.io,base64url.bearer.authorization.k8s.io.b3du", b"v4.channel.k8s.io"),
        (b"Token, own-key", b""),
        (b"bearer,own-key, graphql-ws", b"graphql-ws"),
        (b"graphql-ws", b"graphql-ws"),
    ],
)
def test_no_key_is_offered_as_a_subprotocol(offered: bytes, left: bytes) -> None:
    assert subprotocols(offered) == left
