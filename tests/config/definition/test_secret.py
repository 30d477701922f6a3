from collections.abc import Callable
from pathlib import Path

from ringfence.config.loading import Loaded
from ringfence.domain.secret import (
    AsBasic,
    FromCommand,
    FromEnvironment,
    FromFile,
    FromStore,
    FromVault,
    Grant,
    InHeader,
    InQuery,
    Minting,
    SecretBinding,
    SecretDefinition,
)

HEAD = "format: 1\norganisation: acme\nusers: {a@b.example: {}}\nsecrets:\n"
AGENT = "agents:\n  triage: {owner: a@b.example, purpose: x, secrets: [%s]}\n"


def secrets_of(loaded: Loaded) -> dict[str, SecretDefinition]:
    return dict(loaded.configuration.organisations["acme"].secrets)


def test_a_whole_definition_is_read(load_text: Callable[..., Loaded]) -> None:
    text = """\
  crm:
    environment: CRM_TOKEN
    placeholder: CRM_API_KEY
    bind:
      - {host: API.crm.example, port: 8443, methods: [POST, GET], path: /v1,
         as: {header: X-Crm-Key, prefix: "Token "}, strip: [X-Own]}
      - {host: b.example, as: {query: key}}
      - {host: c.example, as: {basic: x-access-token}}
      - {host: d.example, as: bearer}
"""
    assert secrets_of(load_text(HEAD + text + AGENT % "crm")) == {
        "crm": SecretDefinition(
            name="crm",
            origin=FromEnvironment("CRM_TOKEN"),
            placeholder="CRM_API_KEY",
            bindings=(
                SecretBinding(
                    host="api.crm.example",
                    port=8443,
                    methods=("GET", "POST"),
                    path="/v1",
                    location=InHeader(name="x-crm-key", prefix="Token "),
                    strip=("x-own",),
                ),
                SecretBinding(host="b.example", location=InQuery(name="key")),
                SecretBinding(host="c.example", location=AsBasic(user="x-access-token")),
                SecretBinding(host="d.example", location=InHeader(prefix="Bearer ")),
            ),
        )
    }


def test_every_origin_is_read(load_text: Callable[..., Loaded], tmp_path: Path) -> None:
    text = """\
  a: {environment: "${CRM_TOKEN}"}
  b: {file: run/key}
  c: {command: [pass, show, crm], refresh: 900}
  d: {stored: true}
  e: {vault: {url: "https://vault.example:8200", path: crm/prod, field: token,
      token: "${CRM_TOKEN}", namespace: team}}
"""
    loaded = load_text(HEAD + text)
    assert {name: each.origin for name, each in secrets_of(loaded).items()} == {
        "a": FromEnvironment("CRM_TOKEN"),
        "b": FromFile(str(tmp_path / "run/key")),
        "c": FromCommand(command=("pass", "show", "crm"), refresh_s=900),
        "d": FromStore(),
        "e": FromVault(
            url="https://vault.example:8200",
            mount="secret",
            path="crm/prod",
            field="token",
            token="CRM_TOKEN",
            namespace="team",
        ),
    }
    assert loaded.secret_names == {"CRM_TOKEN"}


def test_what_is_minted_is_read(load_text: Callable[..., Loaded]) -> None:
    text = """\
  a: {stored: true, mint: {token_url: "https://idp.example/token", client: ringfence,
      scopes: [read], audience: crm}}
  b: {stored: true, mint: {grant: token_exchange, token_url: "https://idp.example/token",
      client: ringfence, client_secret: a, resource: "https://api.example"}}
"""
    found = secrets_of(load_text(HEAD + text))
    assert found["a"].minting == Minting(
        grant=Grant.CLIENT_CREDENTIALS,
        token_url="https://idp.example/token",
        client="ringfence",
        scopes=("read",),
        audience="crm",
    )
    assert found["b"].minting == Minting(
        grant=Grant.TOKEN_EXCHANGE,
        token_url="https://idp.example/token",
        client="ringfence",
        client_secret="a",
        resource="https://api.example",
    )


def test_a_refusal_says_where_and_what(
    problems_of: Callable[..., list[str]], refusal: tuple[str, list[str]]
) -> None:
    text, expected = refusal
    assert problems_of(HEAD + text) == expected


def test_a_value_in_the_wrong_place_is_not_repeated(
    problems_of: Callable[..., list[str]],
) -> None:
    value = "sk-proj-0123456789abcdefghij"
    for text in (
        f"  crm: {{environment: {value}}}\n",
        f"  crm: {{stored: {value}}}\n",
        f"  crm: {{vault: {{url: 'https://v.example', path: a, field: b, token: {value}}}}}\n",
    ):
        found = problems_of(HEAD + text)
        assert found
        assert "0123456789" not in "".join(found)


def test_the_examples_of_the_documentation_load(load_text: Callable[..., Loaded]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "secrets.md").read_text(encoding="utf-8")
    blocks = [each.split("```")[0] for each in page.split("```yaml\n")[1:]]
    for block, names in zip(blocks, (["crm"], ["openai", "github"], ["crm"]), strict=True):
        text = block.replace("  triage:\n", "  triage:\n    owner: a@b.example\n")
        loaded = load_text(HEAD.replace("secrets:\n", "") + text, VAULT_TOKEN="a-token")
        assert list(secrets_of(loaded)) == names
