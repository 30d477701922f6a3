"""Destinations: whatever says where a request goes must say the same, and be declared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.destination import Evidence, decide, in_scope, name_in_scope
from ringfence.domain.agent import Agent, Category, Scope
from ringfence.domain.destination import Authority, Destination, Way
from ringfence.domain.verdict import Code, Reason

API, OTHER = Authority("api.example"), Authority("other.example")


def agent(*hosts: str) -> Agent:
    return Agent(
        name="triage",
        owner="owner@acme.example",
        team=None,
        category=Category.BOUNDED,
        purpose="",
        scope=Scope(hosts=hosts),
    )


AGENT = agent("api.example")


def to(
    host: str, port: int = 443, scheme: str = "https", *, is_address: bool = False
) -> Destination:
    return Destination(scheme=scheme, host=host, port=port, is_address=is_address)


@pytest.mark.parametrize(
    ("evidence", "destination"),
    [
        (
            Evidence(
                way=Way.CONNECT,
                scheme="https",
                tunnel=Authority("api.example", 443),
                server_name=API,
                host=API,
            ),
            to("api.example"),
        ),
        (
            Evidence(
                way=Way.CONNECT,
                scheme="https",
                tunnel=Authority("api.example", 8443),
                host=Authority("api.example", 8443),
            ),
            to("api.example", 8443),
        ),
        (
            Evidence(way=Way.ABSOLUTE, scheme="http", target=API, host=API),
            to("api.example", 80, "http"),
        ),
        (
            Evidence(way=Way.PLAIN, scheme="http", host=API, dialled=80),
            to("api.example", 80, "http"),
        ),
        (
            Evidence(way=Way.TLS, scheme="https", server_name=API, host=API, dialled=443),
            to("api.example"),
        ),
        (
            Evidence(
                way=Way.TLS, scheme="https", server_name=API, dialled=443, promised="api.example"
            ),
            to("api.example"),
        ),
    ],
)
def test_what_agrees_is_decided(evidence: Evidence, destination: Destination) -> None:
    assert decide(AGENT, evidence) == destination


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(way=Way.CONNECT, scheme="https"),
        Evidence(way=Way.CONNECT, scheme="https", tunnel=API, server_name=OTHER),
        Evidence(way=Way.CONNECT, scheme="https", tunnel=API, server_name=API, host=OTHER),
        Evidence(way=Way.CONNECT, scheme="https", tunnel=API, host=Authority("api.example", 8443)),
        Evidence(way=Way.CONNECT, scheme="https", tunnel=Authority("api.example", 8443), host=API),
        Evidence(way=Way.ABSOLUTE, scheme="http", target=API, host=OTHER),
        Evidence(way=Way.ABSOLUTE, scheme="http", host=API),
        Evidence(way=Way.PLAIN, scheme="http", dialled=80),
        Evidence(way=Way.PLAIN, scheme="http", host=Authority("api.example", 8080), dialled=80),
        Evidence(way=Way.PLAIN, scheme="http", host=API, dialled=80, promised="other.example"),
        Evidence(way=Way.TLS, scheme="https", host=API, dialled=443),
        Evidence(way=Way.TLS, scheme="https", server_name=API, host=OTHER, dialled=443),
        Evidence(way=Way.TLS, scheme="https", server_name=API, dialled=443, promised="b.example"),
    ],
)
def test_what_is_missing_or_disagrees_is_refused(evidence: Evidence) -> None:
    found = decide(AGENT, evidence)
    assert isinstance(found, Reason)
    assert found.code is Code.DESTINATION_REFUSED


AUTHORITIES = st.builds(
    Authority,
    st.sampled_from(["a.example", "b.example", "10.0.0.1"]),
    st.sampled_from([None, 80, 443, 8443]),
)


@st.composite
def evidence(draw: st.DrawFn) -> Evidence:
    way = draw(st.sampled_from([Way.CONNECT, Way.ABSOLUTE, Way.PLAIN, Way.TLS]))
    maybe = st.none() | AUTHORITIES
    return Evidence(
        way=way,
        scheme=draw(st.sampled_from(["http", "https"])),
        tunnel=draw(maybe) if way is Way.CONNECT else None,
        server_name=draw(maybe),
        target=draw(maybe) if way is Way.ABSOLUTE else None,
        host=draw(maybe),
        dialled=draw(st.sampled_from([None, 80, 443])),
        promised=draw(st.sampled_from([None, "a.example", "b.example"])),
    )


@given(evidence())
def test_no_two_names_of_one_decided_request_differ(evidence: Evidence) -> None:
    found = decide(AGENT, evidence)
    if isinstance(found, Reason):
        return
    host = evidence.host
    named = (evidence.tunnel, evidence.server_name, evidence.target, host)
    assert {each.host for each in named if each is not None} == {found.host}
    assert evidence.promised in {None, found.host}
    if host is not None:
        assert (host.port or {"http": 80, "https": 443}[evidence.scheme]) == found.port


@pytest.mark.parametrize(
    ("pattern", "destination"),
    [
        ("api.example", to("api.example")),
        ("API.Example", to("api.example")),
        ("api.example", to("api.example", 80, "http")),
        ("api.example:8443", to("api.example", 8443)),
        ("*.example", to("a.b.example")),
        ("*.example:8443", to("a.example", 8443)),
        ("10.0.0.1", to("10.0.0.1", is_address=True)),
        ("[::1]:8443", to("::1", 8443, is_address=True)),
        ("[0:0::1]", to("::1", is_address=True)),
    ],
)
def test_what_is_declared_may_be_reached(pattern: str, destination: Destination) -> None:
    assert in_scope(agent(pattern), destination) is None


@pytest.mark.parametrize(
    ("pattern", "destination"),
    [
        ("api.example", to("api.example", 8443)),
        ("api.example", to("api.example", 80)),
        ("api.example", to("api.example", 443, "http")),
        ("api.example:8443", to("api.example")),
        ("api.example", to("evil.api.example")),
        ("api.example", to("api.example.evil")),
        ("*.example", to("example")),
        ("*.example", to("badexample")),
        ("*.0.0.1", to("10.0.0.1", is_address=True)),
        ("10.0.0.1", to("10.0.0.2", is_address=True)),
    ],
)
def test_what_is_not_declared_does_not_exist(pattern: str, destination: Destination) -> None:
    found = in_scope(agent(pattern), destination)
    assert isinstance(found, Reason)
    assert found.code is Code.OUT_OF_SCOPE


def test_nothing_declared_is_nothing_allowed() -> None:
    assert in_scope(agent(), to("api.example")) is not None
    assert not name_in_scope(agent(), API)


def test_whoever_else_has_a_say_only_takes_away() -> None:
    wide = agent("*.example")
    assert in_scope(wide, to("a.example"), [None, ("a.example",)]) is None
    assert in_scope(wide, to("b.example"), [None, ("a.example",)]) is not None
    assert in_scope(agent("a.example"), to("b.example"), [("*.example",)]) is not None


def test_an_address_is_told_for_names_in_scope_alone() -> None:
    declared = agent("api.example:8443", "*.wide.example", "10.0.0.1")
    assert name_in_scope(declared, API)
    assert name_in_scope(declared, Authority("a.wide.example"))
    assert not name_in_scope(declared, OTHER)
    assert not name_in_scope(declared, Authority("10.0.0.1", is_address=True))
    assert not name_in_scope(declared, API, [("other.example",)])
