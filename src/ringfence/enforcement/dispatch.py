"""Sends an allowed action to its provider: the only place where a provider's credential is read."""

from typing import final

from ringfence.domain.error import UnsentError
from ringfence.domain.model import Provider, ProviderProtocol
from ringfence.domain.verdict import Code
from ringfence.enforcement.credential import CredentialScan
from ringfence.enforcement.route import Leg
from ringfence.stores.secret import Secrets
from ringfence.transport.http import Client, Exchange, Headers, Prepared, Taker

_CREDENTIAL_HEADERS = {
    ProviderProtocol.OPENAI: ("authorization", "Bearer "),
    ProviderProtocol.ANTHROPIC: ("x-api-key", ""),
    ProviderProtocol.GEMINI: ("x-goog-api-key", ""),
}

_NOTHING_SECRET = CredentialScan(b"")


@final
class Dispatch:
    """The head of a request to one leg, with its credential; shows nothing of it (I5)."""

    __slots__ = ("prepared", "secrets")

    def __init__(self, prepared: Prepared, secrets: Secrets) -> None:
        """Made by `Dispatcher.prepare` alone."""
        self.prepared = prepared
        self.secrets = secrets


class Dispatcher:
    """Adds the provider's own credential to what the door prepared, and sends it."""

    def __init__(self, client: Client, secrets: Secrets) -> None:
        """Use one pool of connections; secrets are replaced whole at a reload."""
        self._client = client
        self._secrets = secrets
        self._scans: dict[str, CredentialScan] = {}

    def replace_secrets(self, secrets: Secrets) -> None:
        """Use these from now on."""
        self._secrets = secrets
        self._scans.clear()

    def prepare(self, leg: Leg, target: bytes, headers: Headers) -> "Dispatch":
        """Write the head of a POST to one leg of a route. `headers` hold no credential.

        Raises UnsentError `provider_unavailable` if the provider's credential has no value now.
        """
        prepared = self._client.prepare(
            leg.origin,
            b"POST",
            target,
            [(b"host", leg.host), *headers, *self._credential(leg.provider)],
            connect_timeout_s=leg.provider.connect_timeout_s,
            idle_timeout_s=leg.provider.idle_timeout_s,
        )
        return Dispatch(prepared, self._secrets)

    def is_current(self, dispatch: "Dispatch") -> bool:
        """Whether what was prepared carries the credential that is in force."""
        return dispatch.secrets is self._secrets

    def send(self, dispatch: "Dispatch", body: bytes, taker: Taker) -> Exchange:
        """Send what was prepared; `taker` is told of the answer.

        Its errors are UnavailableError `provider_unavailable` or `provider_timeout` and PeerError
        `provider_malformed`; an UnsentError if nothing was sent.
        """
        return self._client.send(dispatch.prepared, body, taker)

    def credential_scan(self, leg: Leg) -> CredentialScan:
        """Finds the credential that a leg is sent now in what its provider answers (I5)."""
        name = leg.provider.credential
        if name is None:
            return _NOTHING_SECRET
        scan = self._scans.get(name)
        if scan is None:
            secret = self._secrets.find(name)
            if secret is None:
                return _NOTHING_SECRET
            scan = self._scans[name] = CredentialScan(secret.reveal().encode())
        return scan

    def _credential(self, provider: Provider) -> Headers:
        if provider.credential is None:
            return ()
        name, scheme = _CREDENTIAL_HEADERS[provider.protocol]
        if provider.credential_header is not None:
            name, scheme = provider.credential_header.lower(), ""
        secret = self._secrets.find(provider.credential)
        if secret is None:
            raise UnsentError(Code.PROVIDER_UNAVAILABLE, "its credential has no value now")
        return ((name.encode(), (scheme + secret.reveal()).encode()),)
