from collections.abc import Callable

import pytest

from ringfence.config.loading import Loaded
from ringfence.domain.model import OutputLimitField, Provider, ProviderProtocol
from ringfence.domain.tool_dialect import ToolDialect

HEAD = """\
format: 1
organisation: acme
providers:
"""
SECRET = 'credential: "${OPENAI_API_KEY}"'


def test_what_is_wrong_with_a_provider_is_named_with_its_place(
    refusal: tuple[str, list[str]], problems_of: Callable[..., list[str]]
) -> None:
    text, expected = refusal
    assert problems_of(HEAD + text) == expected


def test_all_parts_of_a_provider_are_read(load_text: Callable[..., Loaded]) -> None:
    loaded = load_text(
        HEAD
        + """\
  p:
    protocol: openai
    base_url: https://${NAME}.openai.azure.com/openai/
    credential: "${OPENAI_API_KEY}"
    credential_header: Api-Key
    query: {api-version: 2024-10-21}
    betas: [one-2026-01-01]
    timeouts: {connect: 2.5, head: 30, idle: 60, total: 90}
""",
        NAME="acme",
    )
    assert loaded.configuration.organisations["acme"].providers["p"] == Provider(
        name="p",
        protocol=ProviderProtocol.OPENAI,
        base_url="https://acme.openai.azure.com/openai",
        credential="OPENAI_API_KEY",
        credential_header="api-key",
        tool_dialect=ToolDialect.OPENAI,
        query=(("api-version", "2024-10-21"),),
        betas=frozenset({"one-2026-01-01"}),
        connect_timeout_s=2.5,
        head_timeout_s=30.0,
        idle_timeout_s=60.0,
        total_timeout_s=90.0,
    )
    assert loaded.secret_names == {"OPENAI_API_KEY"}


@pytest.mark.parametrize("host", ["a.example", "8.8.8.8", "[2001:4860:4860::8888]"])
def test_a_credential_in_clear_text_to_a_public_host_is_noted(
    host: str, notes_of: Callable[..., list[str]]
) -> None:
    text = f'{HEAD}  p: {{protocol: openai, base_url: "http://{host}", {SECRET}}}\n'
    assert notes_of(text) == [
        "4:25: provider `p` sends its credential over http without encryption | use https"
    ]


@pytest.mark.parametrize("url", ["http://localhost:1", "http://10.1.2.3", "http://vllm:8000"])
def test_a_credential_to_a_private_host_is_not_noted(
    url: str, notes_of: Callable[..., list[str]]
) -> None:
    assert notes_of(f'{HEAD}  p: {{protocol: openai, base_url: "{url}", {SECRET}}}\n') == []


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("https://api.openai.com/v1", OutputLimitField.MAX_COMPLETION_TOKENS),
        ("https://acme.openai.azure.com/openai/v1", OutputLimitField.MAX_COMPLETION_TOKENS),
        ("http://127.0.0.1:11434/v1", OutputLimitField.MAX_TOKENS),
        ("https://notopenai.com/v1", OutputLimitField.MAX_TOKENS),
    ],
)
def test_the_output_limit_is_named_as_the_server_knows_it(
    url: str, field: OutputLimitField, load_text: Callable[..., Loaded]
) -> None:
    loaded = load_text(f'{HEAD}  p: {{protocol: openai, base_url: "{url}"}}\n')
    provider = loaded.configuration.organisations["acme"].providers["p"]
    assert provider.output_limit_field is field


def test_the_name_of_the_output_limit_can_be_chosen(load_text: Callable[..., Loaded]) -> None:
    loaded = load_text(
        HEAD + '  p: {protocol: openai, base_url: "http://127.0.0.1:1/v1", '
        "output_limit_field: max_completion_tokens}\n"
    )
    provider = loaded.configuration.organisations["acme"].providers["p"]
    assert provider.output_limit_field is OutputLimitField.MAX_COMPLETION_TOKENS


@pytest.mark.parametrize(
    ("url", "word", "dialect"),
    [
        ("https://api.openai.com/v1", "", ToolDialect.OPENAI),
        ("https://acme.openai.azure.com/openai/v1", "", ToolDialect.OPENAI),
        ("https://api.anthropic.com", "", ToolDialect.ANTHROPIC),
        ("https://generativelanguage.googleapis.com", "", ToolDialect.GEMINI),
        ("https://api.mistral.ai/v1", "", ToolDialect.MISTRAL),
        ("https://llm.acme.example/v1", "", None),
        ("https://api.openai.com.evil.example/v1", "", None),
        ("https://llm.acme.example/v1", "bedrock", ToolDialect.BEDROCK),
        ("https://api.openai.com/v1", "none", None),
    ],
)
def test_what_a_provider_refuses_in_tools_is_known_by_its_host_or_told(
    load_text: Callable[..., Loaded], url: str, word: str, dialect: ToolDialect | None
) -> None:
    more = f", tool_dialect: {word}" if word else ""
    text = HEAD + f'  p: {{protocol: openai, base_url: "{url}"{more}}}\n'
    loaded = load_text(text)
    assert loaded.configuration.organisations["acme"].providers["p"].tool_dialect is dialect
