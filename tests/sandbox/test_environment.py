from dataclasses import replace

import pytest

from ringfence.domain.agent import SandboxTier
from ringfence.domain.sandbox import SandboxGrant
from ringfence.sandbox.environment import KEPT, Surroundings, Trust, environment, own_names, url_of

CANARY = "canary-of-the-caller"
CALLER = {
    "LANG": "C.UTF-8",
    "TERM": "xterm",
    "HOME": "/home/ann",
    "PATH": "/home/ann/bin:/usr/bin",
    "AWS_SECRET_ACCESS_KEY": CANARY,
    "SSH_AUTH_SOCK": f"/run/{CANARY}",
    "http_proxy": f"http://{CANARY}",
    "RINGFENCE_DATA": f"/srv/{CANARY}",
    "LD_PRELOAD": f"/{CANARY}.so",
    "BASH_ENV": f"/{CANARY}",
}
GRANT = SandboxGrant(
    id="sbx_1",
    ticket="rf_tkt_1",
    socket=f"/srv/{CANARY}",
    invocation="inv_1",
    token="rf_inv_1",
    tier=SandboxTier.STRICT,
    environment={"CRM_TOKEN": "placeholder"},
)
STRICT = Surroundings(
    tier=SandboxTier.STRICT,
    home="/home/agent",
    gateway=("127.0.0.1", 8484),
    proxy=("127.0.0.1", 3128),
    paths=("/opt/tool/bin",),
    trust=Trust(bundle="/r/roots.pem", own="/r/own.pem", java="/r/roots.p12"),
)


@pytest.mark.parametrize("tier", [SandboxTier.STRICT, SandboxTier.REDUCED])
def test_nothing_of_the_caller_goes_in_but_words_about_language_and_terminal(
    tier: SandboxTier,
) -> None:
    made = environment(GRANT, replace(STRICT, tier=tier), CALLER)
    assert CANARY not in repr(made)
    assert "rf_tkt" not in repr(made)
    assert (made["LANG"], made["TERM"]) == ("C.UTF-8", "xterm")
    assert not {"LD_PRELOAD", "BASH_ENV", "SSH_AUTH_SOCK", "RINGFENCE_DATA"} & made.keys()


def test_without_a_sandbox_the_caller_keeps_their_own_and_the_gateways_are_added() -> None:
    made = environment(GRANT, replace(STRICT, tier=SandboxTier.NONE, proxy=None), CALLER)
    assert made["HOME"] == "/home/ann"
    assert made["PATH"] == "/opt/tool/bin:/home/ann/bin:/usr/bin"
    assert made["RINGFENCE_URL"] == "http://127.0.0.1:8484"
    assert made["OPENAI_API_KEY"] == "rf_inv_1"


def test_what_a_sandbox_sets_by_itself_is_known_by_name() -> None:
    made = environment(GRANT, STRICT, CALLER)
    assert made.keys() - own_names() == {"CRM_TOKEN"}
    assert {"PATH", "HTTPS_PROXY", "OPENAI_API_KEY", "TERM"} <= own_names()


def test_the_gateways_are_named_as_every_sdk_wants_them() -> None:
    made = environment(GRANT, STRICT, CALLER)
    assert made["OPENAI_BASE_URL"] == "http://127.0.0.1:8484/v1"
    assert made["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:8484"
    assert made["GOOGLE_GEMINI_BASE_URL"] == "http://127.0.0.1:8484"
    for name in ("RINGFENCE_TOKEN", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        assert made[name] == "rf_inv_1"


def test_programs_that_obey_are_told_of_the_proxy_and_not_to_use_it_for_the_gateway() -> None:
    made = environment(GRANT, STRICT, CALLER)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        assert made[name] == "http://127.0.0.1:3128"
    assert sorted(made["NO_PROXY"].split(",")) == ["127.0.0.1", "::1", "localhost"]
    assert made["NODE_USE_ENV_PROXY"] == "1"


def test_where_nothing_is_intercepted_nobody_is_told_of_a_proxy_or_of_roots() -> None:
    made = environment(GRANT, replace(STRICT, proxy=None, trust=Trust()), CALLER)
    assert not [name for name in made if "proxy" in name.lower()]
    assert "SSL_CERT_FILE" not in made
    assert "JAVA_TOOL_OPTIONS" not in made


def test_programs_trust_the_sandboxs_own_authority() -> None:
    made = environment(GRANT, STRICT, CALLER)
    for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO"):
        assert made[name] == "/r/roots.pem"
    assert made["NODE_EXTRA_CA_CERTS"] == made["DENO_CERT"] == "/r/own.pem"
    options = made["JAVA_TOOL_OPTIONS"].split()
    assert "-Djavax.net.ssl.trustStore=/r/roots.p12" in options
    assert {"-Dhttps.proxyHost=127.0.0.1", "-Dhttps.proxyPort=3128"} <= set(options)
    assert "-Dhttp.nonProxyHosts=localhost|127.*|[::1]" in options


def test_placeholders_stand_under_the_names_that_were_granted() -> None:
    assert environment(GRANT, STRICT, CALLER)["CRM_TOKEN"] == "placeholder"


def test_what_is_kept_of_the_caller_names_no_host_and_no_secret() -> None:
    for name in KEPT:
        assert not any(word in name.lower() for word in ("proxy", "key", "token", "path", "home"))


def test_a_listener_is_named_as_a_url() -> None:
    assert url_of(("127.0.0.1", 1)) == "http://127.0.0.1:1"
