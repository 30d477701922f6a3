"""The words of secrets: where their values come from, and which requests they are added to."""

from enum import StrEnum

import msgspec

HTTPS_PORT = 443
_APART = "/"
"""Neither the name of a variable nor that of an organisation can hold it."""


class FromEnvironment(msgspec.Struct, frozen=True, tag="environment"):
    """A variable of the plane's own environment."""

    variable: str


class FromFile(msgspec.Struct, frozen=True, tag="file"):
    """The content of a file, without its last line end; it is read again when it changes."""

    path: str


class FromCommand(msgspec.Struct, frozen=True, kw_only=True, tag="command"):
    """What a program prints; it is run again every `refresh_s`, and only at a reload if None."""

    command: tuple[str, ...]
    refresh_s: float | None = None


class FromStore(msgspec.Struct, frozen=True, tag="stored"):
    """The plane's own encrypted store (`ringfence secret set`)."""


class FromVault(msgspec.Struct, frozen=True, kw_only=True, tag="vault"):
    """One field of a secret in a store that speaks HashiCorp Vault's KV version 2.

    `token` names the variable that holds the token. `url` is the store's own, `mount` and `path`
    say where the secret lies.
    """

    url: str
    mount: str
    path: str
    field: str
    token: str
    namespace: str = ""
    refresh_s: float = 300.0


SecretOrigin = FromEnvironment | FromFile | FromCommand | FromStore | FromVault
"""Where a value comes from."""


class InHeader(msgspec.Struct, frozen=True, tag="header"):
    """`name: prefix value`; the name is lower case."""

    name: str = "authorization"
    prefix: str = ""


class InQuery(msgspec.Struct, frozen=True, tag="query"):
    """`?name=value`."""

    name: str


class AsBasic(msgspec.Struct, frozen=True, tag="basic"):
    """`Authorization: Basic` with this user; the value is the password."""

    user: str


SecretLocation = InHeader | InQuery | AsBasic
"""Where in a request a value stands."""


class SecretBinding(msgspec.Struct, frozen=True, kw_only=True):
    """The requests a secret is added to: over TLS alone, to exactly this host and port.

    `host` is lower case and no pattern; no `methods` means any. `path` is a prefix that ends where
    a segment ends. `strip` names further headers and parameters that agents may not send there.
    """

    host: str
    port: int = HTTPS_PORT
    methods: tuple[str, ...] = ()
    path: str = "/"
    location: SecretLocation
    strip: tuple[str, ...] = ()


class Grant(StrEnum):
    """How a short-lived credential is got with a secret."""

    CLIENT_CREDENTIALS = "client_credentials"
    """RFC 6749 section 4.4: the secret is the client's."""
    TOKEN_EXCHANGE = "token_exchange"  # noqa: S105 (a word, not a secret)
    """RFC 8693: the secret is the token that is exchanged."""


class Minting(msgspec.Struct, frozen=True, kw_only=True):
    """What is got with a secret and sent in its place.

    `client_secret` names another secret that proves the client of an exchange; with a client and
    no such secret the client only names itself.
    """

    grant: Grant
    token_url: str
    client: str = ""
    client_secret: str = ""
    scopes: tuple[str, ...] = ()
    audience: str = ""
    resource: str = ""
    subject_token_type: str = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 (a type)


class SecretDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A secret as the configuration names it; never its value.

    `placeholder` is the variable of a sandbox that holds something in the value's place; empty for
    none.
    """

    name: str
    origin: SecretOrigin
    bindings: tuple[SecretBinding, ...] = ()
    placeholder: str = ""
    minting: Minting | None = None


def key_of(organisation: str, name: str) -> str:
    """How an organisation's secret is called where variables are called by their own names."""
    return f"{organisation}{_APART}{name}"


def token_of(name: str) -> str:
    """The name under which the plane keeps what it has got with a secret, by `mint`, for itself."""
    return f"{name}{_APART}token"


def secret_of(name: str) -> str:
    """The name of the secret that this is, or is got with."""
    return name.partition(_APART)[0]


def parted(key: str) -> tuple[str, str] | None:
    """Organisation and name of the secret that a key is of; None for that of a variable."""
    organisation, apart, name = key.partition(_APART)
    return (organisation, name) if apart else None


class SecretValue(msgspec.Struct, frozen=True, kw_only=True):
    """A value on its way from the plane to its workers. INVARIANT (I5): no repr shows it."""

    organisation: str
    name: str
    value: str

    def __repr__(self) -> str:
        """Never the value."""
        return f"SecretValue({self.organisation}/{self.name})"
