from collections.abc import Callable
from pathlib import Path

import pytest

from ringfence.config.loading import Loaded

HEAD = "format: 1\norganisation: acme\nusers: {a@b.example: {}}\nsecrets:\n"
AGENT = (
    "agents:\n  triage: {owner: a@b.example, hosts: [a.example, '*.b.example'], secrets: [%s]}\n"
)
BOUND = "  crm: {stored: true, bind: {host: %s, as: bearer}}\n"


def notes(loaded: Loaded) -> str:
    return "\n".join(note.what for note in loaded.notes)


def test_an_agent_names_what_it_may_use(load_text: Callable[..., Loaded]) -> None:
    loaded = load_text(HEAD + "  crm: {stored: true}\n" + AGENT % "crm")
    agent = loaded.configuration.organisations["acme"].agents["triage"]
    assert agent.secrets == {"crm"}


@pytest.mark.parametrize(
    ("second", "is_refused"),
    [
        ("{host: a.example, as: bearer}", True),
        ("{host: a.example, path: /, methods: [GET], as: {basic: me}}", True),
        ("{host: a.example, path: /v2, as: bearer}", False),
        ("{host: a.example, port: 444, as: bearer}", False),
        ("{host: a.example, as: {header: X-Other}}", False),
        ("{host: b.example, as: bearer}", False),
    ],
)
def test_an_agent_cannot_have_two_secrets_for_one_place(
    problems_of: Callable[..., list[str]], second: str, *, is_refused: bool
) -> None:
    text = (
        "  one: {stored: true, bind: {host: a.example, as: bearer}}\n"
        f"  two: {{stored: true, bind: {second}}}\n"
    )
    found = problems_of(HEAD + text + AGENT % "one, two")
    assert any("two secrets for the same requests" in each for each in found) is is_refused
    assert problems_of(HEAD + text + AGENT % "two") == []


@pytest.mark.parametrize(
    ("host", "is_noted"),
    [
        ("a.example", False),
        ("x.b.example", False),
        ("b.example", True),
        ("c.example", True),
        ("a.example, port: 8443", True),
    ],
)
def test_a_secret_for_a_host_that_its_agent_may_not_reach_is_noted(
    load_text: Callable[..., Loaded], host: str, *, is_noted: bool
) -> None:
    loaded = load_text(HEAD + BOUND % host + AGENT % "crm")
    assert ("may not reach" in notes(loaded)) is is_noted


def test_a_secret_that_nobody_uses_is_noted(load_text: Callable[..., Loaded]) -> None:
    unused = "  other: {stored: true}\n"
    loaded = load_text(HEAD + BOUND % "a.example" + unused + AGENT % "crm")
    assert "nobody uses the secret `other`" in notes(loaded)
    assert "`crm`" not in notes(loaded)


def test_the_proof_of_a_client_is_used_by_what_is_minted(
    load_text: Callable[..., Loaded],
) -> None:
    mint = "{grant: token_exchange, token_url: 'https://i.example', client: a, client_secret: b}"
    text = BOUND.replace("}}\n", "}, mint: %s}\n") % ("a.example", mint)
    loaded = load_text(HEAD + text + "  b: {stored: true}\n" + AGENT % "crm")
    assert "no agent uses" not in notes(loaded)


def test_a_secret_without_a_binding_is_noted(load_text: Callable[..., Loaded]) -> None:
    loaded = load_text(HEAD + "  crm: {stored: true}\n" + AGENT % "crm")
    assert "which has no `bind`" in notes(loaded)


@pytest.mark.parametrize(("mode", "is_noted"), [(0o644, True), (0o640, False), (0o600, False)])
def test_a_file_that_everybody_can_read_is_noted(
    load_text: Callable[..., Loaded], tmp_path: Path, mode: int, *, is_noted: bool
) -> None:
    (tmp_path / "key").touch()
    (tmp_path / "key").chmod(mode)
    loaded = load_text(HEAD + "  crm: {file: key}\n")
    assert ("everybody on this machine" in notes(loaded)) is is_noted


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("{file: missing}", "the file of the secret `crm` is not here: `"),
        ("{command: [no-such-program, x]}", "is not here: `no-such-program`"),
        ("{file: key}", ""),
        ("{command: [sh, x]}", ""),
    ],
)
def test_a_value_that_is_not_on_this_machine_is_noted(
    load_text: Callable[..., Loaded], tmp_path: Path, origin: str, expected: str
) -> None:
    (tmp_path / "key").touch(mode=0o600)
    said = notes(load_text(HEAD + f"  crm: {origin}\n"))
    assert expected in said
    assert ("is not here" in said) is bool(expected)


def test_a_host_that_cannot_be_one_is_said_where_a_secret_is_for_it(
    problems_of: Callable[..., list[str]],
) -> None:
    text = HEAD + "  crm: {stored: true, bind: {host: a.example, as: bearer}}\n"
    (problem,) = problems_of(text + (AGENT % "crm").replace("a.example", "https://a.example"))
    assert "`https://a.example` in `hosts` of agent `" in problem


def test_what_the_plane_itself_uses_is_used(load_text: Callable[..., Loaded]) -> None:
    text = """\
  crm: {stored: true}
providers: {p: {protocol: openai, base_url: "https://a.example", credential: "${secret:crm}"}}
"""
    loaded = load_text(HEAD + text)
    assert loaded.configuration.organisations["acme"].providers["p"].credential == "acme/crm"
    assert "nobody uses" not in notes(loaded)


def test_what_the_plane_itself_uses_is_known_and_a_token_where_one_is_got(
    problems_of: Callable[..., list[str]], load_text: Callable[..., Loaded]
) -> None:
    text = """\
  crm: {stored: true, mint: {token_url: "https://t.example", client: c}}
  key: {stored: true}
alerts: {webhook: "https://a.example", credential: "${secret:crm}"}
approvals: {webhook: "https://a.example", signing_key: "${secret:%s}"}
"""
    assert problems_of(HEAD + text % "kee") == [
        "8:56: unknown secret `kee` in `signing_key` in `approvals` | did you mean `key`?"
    ]
    loaded = load_text(HEAD + text % "key")
    assert loaded.configuration.organisations["acme"].alerts.credential == "acme/crm/token"
    assert loaded.secret_uses.keys() == {"acme/crm/token", "acme/key"}
    assert "nobody uses" not in notes(loaded)
