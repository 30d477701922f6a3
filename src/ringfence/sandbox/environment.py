"""The environment of a sandbox: nothing of the caller's but words about language and terminal.

Pure: what goes in are the grant and the places of files, what comes out are variables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ringfence.domain.agent import SandboxTier
from ringfence.domain.sandbox import SandboxGrant
from ringfence.sandbox.trust_store import JAVA_PASSWORD

PATH: Final = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
KEPT: Final = (
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "LC_COLLATE",
    "LC_NUMERIC",
    "LC_TIME",
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "COLUMNS",
    "LINES",
    "TZ",
)
"""What of the caller's environment goes in: none of it can hold a secret or name a host."""

_BUNDLE_VARIABLES: Final = (
    "SSL_CERT_FILE",  # OpenSSL, Go, Rust, uv, Ruby
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "NIX_SSL_CERT_FILE",
    "npm_config_cafile",
    "BUNDLE_SSL_CA_CERT",
    "PERL_LWP_SSL_CA_FILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "HEX_CACERTS_PATH",
)
"""Programs that read a file of all roots. Source: each program's manual."""
_ADDED_VARIABLES: Final = ("NODE_EXTRA_CA_CERTS", "DENO_CERT")
"""Programs that add what they are given to roots of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Where the sandbox's own certificate authority is found by programs; paths as they see them.

    `bundle` holds the system's roots and ours, `own` ours alone, `java` the same as `bundle` in the
    form that Java reads; empty where there is none.
    """

    bundle: str = ""
    own: str = ""
    java: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a sandbox is made of, as its programs see it.

    `gateway` and `proxy` are host and port; `proxy` is None where there is no egress door. `paths`
    are folders of programs beside the system's own.
    """

    tier: SandboxTier
    home: str
    gateway: tuple[str, int]
    proxy: tuple[str, int] | None = None
    paths: tuple[str, ...] = ()
    trust: Trust = Trust()


def url_of(address: tuple[str, int]) -> str:
    """How a program is told of a listener."""
    return f"http://{address[0]}:{address[1]}"


def environment(
    grant: SandboxGrant, around: Surroundings, caller: Mapping[str, str]
) -> dict[str, str]:
    """Everything that the command finds in its environment. `caller` is our own, little used.

    Without a sandbox (tier none) the caller's environment stays, since it could be read anyway.
    """
    kept = (
        dict(caller)
        if around.tier is SandboxTier.NONE
        else {name: caller[name] for name in KEPT if caller.get(name)}
    )
    return {
        **kept,
        **_place(around, caller),
        **_gateway(grant, url_of(around.gateway)),
        **_proxy(around),
        **_trust(around.trust),
        **_java(around),
        **grant.environment,
    }


def own_names() -> frozenset[str]:
    """Every variable that a sandbox sets by itself, so that nobody else may."""
    grant = SandboxGrant(
        id="", ticket="", socket="", invocation="", token="", tier=SandboxTier.STRICT
    )
    everything = Surroundings(
        tier=SandboxTier.STRICT,
        home="/",
        gateway=("", 0),
        proxy=("", 0),
        trust=Trust(bundle="/", own="/", java="/"),
    )
    return frozenset(environment(grant, everything, dict.fromkeys(KEPT, "x")))


def _place(around: Surroundings, caller: Mapping[str, str]) -> dict[str, str]:
    if around.tier is SandboxTier.NONE:
        paths = ":".join((*around.paths, caller.get("PATH", PATH)))
        return {"PATH": paths}
    return {
        "PATH": ":".join((*around.paths, PATH)),
        "HOME": around.home,
        "USER": "agent",
        "LOGNAME": "agent",
        "SHELL": "/bin/bash",
        "TMPDIR": "/tmp" if around.tier is SandboxTier.STRICT else f"{around.home}/tmp",  # noqa: S108 (the sandbox's own)
        "XDG_CONFIG_HOME": f"{around.home}/.config",
        "XDG_CACHE_HOME": f"{around.home}/.cache",
        "XDG_DATA_HOME": f"{around.home}/.local/share",
        "XDG_STATE_HOME": f"{around.home}/.local/state",
    }


def _gateway(grant: SandboxGrant, url: str) -> dict[str, str]:
    """Where models and tools are, in the words of Ringfence and of the usual SDKs."""
    token = grant.token
    return {
        "RINGFENCE_URL": url,
        "RINGFENCE_TOKEN": token,
        "RINGFENCE_SANDBOX": grant.id,
        "RINGFENCE_INVOCATION": grant.invocation,
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": token,
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": token,
        "GOOGLE_GEMINI_BASE_URL": url,
        "GEMINI_API_KEY": token,
    }


def _proxy(around: Surroundings) -> dict[str, str]:
    """For programs that obey; the others are caught where the tier can."""
    if around.proxy is None:
        return {}
    url = url_of(around.proxy)
    names = ("http_proxy", "https_proxy", "all_proxy")
    own = ",".join(dict.fromkeys((around.gateway[0], "localhost", "127.0.0.1", "::1")))
    return {
        **dict.fromkeys(names, url),
        **{name.upper(): url for name in names},
        "no_proxy": own,
        "NO_PROXY": own,
        "NODE_USE_ENV_PROXY": "1",  # Node 22.21 and 24 obey the others only with this
        "npm_config_proxy": url,
        "npm_config_https_proxy": url,
        "npm_config_noproxy": own,
    }


def _trust(trust: Trust) -> dict[str, str]:
    found = dict.fromkeys(_BUNDLE_VARIABLES, trust.bundle) if trust.bundle else {}
    if trust.own:
        found |= dict.fromkeys(_ADDED_VARIABLES, trust.own)
    return found


def _java(around: Surroundings) -> dict[str, str]:
    """Its options; it reads no variables of proxies, and no file of roots but in its own form."""
    trust = around.trust
    if not trust.java:
        return {}
    options = {
        "javax.net.ssl.trustStore": trust.java,
        "javax.net.ssl.trustStoreType": "PKCS12",
        "javax.net.ssl.trustStorePassword": JAVA_PASSWORD,
    }
    if around.proxy is not None:
        host, port = around.proxy
        for scheme in ("http", "https"):
            options |= {f"{scheme}.proxyHost": host, f"{scheme}.proxyPort": str(port)}
        options["http.nonProxyHosts"] = "localhost|127.*|[::1]"
    return {"JAVA_TOOL_OPTIONS": " ".join(f"-D{name}={value}" for name, value in options.items())}
