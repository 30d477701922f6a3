from collections.abc import Callable

from ringfence.config.loading import Loaded

HEAD = "format: 1\norganisation: acme\n"
EGRESS = "egress: {timeouts: {%s}}\n"
PROVIDER = "providers: {p: {protocol: openai, base_url: 'https://a.example', timeouts: {%s}}}\n"
TOOL = "tools: {t: {url: 'https://t.example', timeouts: {%s}}}\n"


def test_what_is_said_counts_and_the_rest_is_as_usual(load_text: Callable[..., Loaded]) -> None:
    loaded = load_text(HEAD + EGRESS % "idle: 7" + PROVIDER % "head: 8" + TOOL % "call: 9.5")
    acme = loaded.configuration.organisations["acme"]
    usual = load_text(HEAD + EGRESS % "" + PROVIDER % "" + TOOL % "").configuration
    plain = usual.organisations["acme"]
    assert acme.egress.idle_timeout_s == 7
    assert acme.egress.total_timeout_s == plain.egress.total_timeout_s
    assert acme.providers["p"].head_timeout_s == 8
    assert acme.providers["p"].idle_timeout_s == plain.providers["p"].idle_timeout_s
    assert acme.tools["t"].call_timeout_s == 9.5
    assert acme.tools["t"].connect_timeout_s == plain.tools["t"].connect_timeout_s


def test_what_cannot_be_is_named_wherever_it_stands(problems_of: Callable[..., list[str]]) -> None:
    assert problems_of(HEAD + EGRESS % "idle: 0") == [
        "3:21: `idle` in `timeouts` of `egress` is out of range | above 0, at most 86400"
    ]
    assert problems_of(HEAD + TOOL % "idle: 5") == [
        "3:50: unknown key `idle` in `timeouts` of tool server `t` | known: `call`, `connect`"
    ]
