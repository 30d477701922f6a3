from collections.abc import Callable

from ringfence.config.loading import Loaded
from ringfence.domain.model import InputBound, Model
from ringfence.domain.price import RateCard, Rates

HEAD = """\
format: 1
organisation: acme
providers:
  p: {protocol: openai, base_url: "http://localhost:1"}
  q: {protocol: anthropic, base_url: "http://localhost:1"}
models:
  other: {provider: p}
  claude: {provider: q}
"""
"""Eight lines, so that what a test adds begins on line 9."""


def test_what_is_wrong_with_a_model_is_named_with_its_place(
    refusal: tuple[str, list[str]], problems_of: Callable[..., list[str]]
) -> None:
    text, expected = refusal
    assert problems_of(HEAD + text) == expected


def test_a_price_makes_a_ceiling_pointless(notes_of: Callable[..., list[str]]) -> None:
    price = "{input: 1, output: 2}"
    text = f"{HEAD}  m: {{provider: p, price: {price}, ceiling: {price}}}\n"
    assert notes_of(text) == [
        "9:50: `ceiling` of model `m` has no effect beside `price` | remove one of them"
    ]


def test_hosted_tools_without_a_bound_are_noted(notes_of: Callable[..., list[str]]) -> None:
    [note] = notes_of(f"{HEAD}  m: {{provider: p, hosted_tools: [x], hosted_uses: 5}}\n")
    assert note == (
        "9:20: `hosted_tools` of model `m` has no bound, so these tools are refused | "
        "add `hosted_uses` and `hosted_tokens`: uses in a call, input tokens of a use"
    )


def test_all_parts_of_a_model_are_read(load_text: Callable[..., Loaded]) -> None:
    text = """\
  m:
    provider: p
    upstream: org/Model@1
    fallback: [other]
    ceiling: {input: 1, output: 2}
    input_bound: {initial_tokens_per_byte: 0.5, margin: 0.1}
    image_tokens: 1500
    media_tokens: 9000
    hosted_tools: [web_search]
    hosted_uses: 5
    hosted_tokens: 40000
    allow_priced_fields: [service_tier]
"""
    loaded = load_text(HEAD + text)
    ceiling = RateCard(
        rates=Rates(input=1_000_000_000, output=2_000_000_000), source="configuration (ceiling)"
    )
    assert loaded.configuration.organisations["acme"].models["m"] == Model(
        name="m",
        provider="p",
        upstream="org/Model@1",
        fallback=("other",),
        ceiling=ceiling,
        input_bound=InputBound(initial_tokens_per_byte=0.5, margin_ratio=0.1, learns=True),
        image_tokens=1500,
        media_tokens=9000,
        hosted_tools=frozenset({"web_search"}),
        hosted_uses=5,
        hosted_tokens=40_000,
        allow_priced_fields=frozenset({"service_tier"}),
    )


def test_a_model_is_called_upstream_as_it_is_called_here(
    load_text: Callable[..., Loaded],
) -> None:
    models = load_text(HEAD).configuration.organisations["acme"].models
    assert models["other"].upstream == "other"
