from collections.abc import Callable

from ringfence.config.loading import Loaded
from ringfence.domain.model import Pace
from ringfence.domain.tool import OAuthClient, PermissionTier, ServerEra, ToolServer

HEAD = """\
format: 1
organisation: acme
tools:
"""


def test_what_is_wrong_with_a_tool_server_is_named_with_its_place(
    refusal: tuple[str, list[str]], problems_of: Callable[..., list[str]]
) -> None:
    text, expected = refusal
    assert problems_of(HEAD + text) == expected


def test_references_in_a_command_s_environment_stay_references(
    load_text: Callable[..., Loaded],
) -> None:
    text = HEAD + '  t: {command: [run], env: {LEVEL: warn, HEADER: "Bearer ${CRM_TOKEN}"}}\n'
    loaded = load_text(text)
    assert loaded.configuration.organisations["acme"].tools["t"] == ToolServer(
        name="t",
        command=("run",),
        environment=(("LEVEL", "warn"), ("HEADER", "Bearer ${CRM_TOKEN}")),
    )
    assert loaded.secret_names == {"CRM_TOKEN"}


def test_references_to_secrets_stand_for_those_of_the_organisation(
    load_text: Callable[..., Loaded],
) -> None:
    text = """\
  t: {command: [run], env: {A: "Bearer ${secret:crm} ${CRM_TOKEN} $${secret:crm}", B: x}}
  u: {url: "https://u.example", credential: "${secret:crm}"}
  v: {url: "https://v.example", oauth: {client: c, secret: "${secret:other}", token_url: "https://v.example/t"}}
secrets: {crm: {stored: true}, other: {stored: true}}
"""
    loaded = load_text(HEAD + text)
    tools = loaded.configuration.organisations["acme"].tools
    assert tools["t"].environment[0] == ("A", "Bearer ${acme/crm} ${CRM_TOKEN} $${secret:crm}")
    assert tools["u"].credential == "acme/crm"
    assert tools["v"].oauth is not None
    assert tools["v"].oauth.secret == "acme/other"
    assert loaded.secret_names == {"CRM_TOKEN"}
    crm, other = loaded.secret_uses["acme/crm"], loaded.secret_uses["acme/other"]
    assert (crm.what, crm.is_sent) == ("`A` in `env` of tool server `t`", True)
    assert (other.what, other.place.line) == ("`secret` in `oauth` of tool server `v`", 6)
    assert not any("nobody uses" in note.what for note in loaded.notes)


def test_a_server_under_a_url_has_a_credential_and_tiers(
    load_text: Callable[..., Loaded],
) -> None:
    text = """\
  crm:
    url: https://crm.example/mcp/
    credential: "${CRM_TOKEN}"
    irreversible: [delete_*, refund]
    read: ["get_?"]
"""
    loaded = load_text(HEAD + text)
    assert loaded.configuration.organisations["acme"].tools["crm"] == ToolServer(
        name="crm",
        url="https://crm.example/mcp",
        credential="CRM_TOKEN",
        tiers=(
            ("delete_*", PermissionTier.IRREVERSIBLE),
            ("refund", PermissionTier.IRREVERSIBLE),
            ("get_?", PermissionTier.READ),
        ),
    )


def test_a_server_has_an_owner(load_text: Callable[..., Loaded]) -> None:
    text = HEAD + "  t: {command: [run], owner: ann@acme.example}\nusers: {ann@acme.example: {}}\n"
    servers = load_text(text).configuration.organisations["acme"].tools
    assert servers["t"].owner == "ann@acme.example"


def test_how_a_server_is_reached_is_read(load_text: Callable[..., Loaded]) -> None:
    text = (
        HEAD
        + '  a: {url: "https://a/mcp", era: modern, timeouts: {connect: 2, call: 300},\n'
        + '      oauth: {client: us, secret: "${CRM_TOKEN}", scopes: [x],\n'
        + '              token_url: "https://b/token"}}\n'
        + "  b: {command: [run], stateful: false}\n"
    )
    loaded = load_text(text)
    tools = loaded.configuration.organisations["acme"].tools
    oauth = OAuthClient(client="us", secret="CRM_TOKEN", token_url="https://b/token", scopes=("x",))
    assert tools["a"] == ToolServer(
        name="a",
        url="https://a/mcp",
        era=ServerEra.MODERN,
        connect_timeout_s=2,
        call_timeout_s=300,
        oauth=oauth,
    )
    assert not tools["b"].is_stateful
    assert loaded.secret_names == {"CRM_TOKEN"}


def test_no_server_takes_the_place_of_the_tools_that_are_built_in(
    problems_of: Callable[..., list[str]],
) -> None:
    [problem] = problems_of(HEAD + "  ringfence: {url: https://crm.example/mcp}\n")
    assert "no tool server can be called `ringfence`" in problem


def test_a_person_may_grant_the_tokens_of_a_server(load_text: Callable[..., Loaded]) -> None:
    text = (
        HEAD
        + '  a: {url: "https://a/mcp", oauth: {by: person}}\n'
        + '  b: {url: "https://b/mcp", oauth: {by: person, client: us, scopes: [x]}}\n'
    )
    tools = load_text(text).configuration.organisations["acme"].tools
    assert tools["a"].oauth == OAuthClient(is_by_person=True)
    assert tools["b"].oauth == OAuthClient(client="us", scopes=("x",), is_by_person=True)


def test_a_server_may_be_paced_like_a_provider(load_text: Callable[..., Loaded]) -> None:
    text = HEAD + '  a: {url: "https://a/mcp", pace: {concurrent: 4, requests_per_minute: 60}}\n'
    server = load_text(text).configuration.organisations["acme"].tools["a"]
    assert server.pace == Pace(concurrent=4, requests_per_minute=60)
