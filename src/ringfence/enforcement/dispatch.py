"""Sends an allowed action to its provider: the only place where a provider's credential is read."""

from ringfence.domain.model import Provider, ProviderProtocol
from ringfence.enforcement.route import Leg
from ringfence.stores.secret import EnvironmentSecrets
from ringfence.transport.http import Client, Headers, UpstreamResponse

_CREDENTIAL_HEADERS = {
    ProviderProtocol.OPENAI: ("authorization", "Bearer "),
    ProviderProtocol.ANTHROPIC: ("x-api-key", ""),
    ProviderProtocol.GEMINI: ("x-goog-api-key", ""),
}


class Dispatcher:
    """Adds the provider's own credential to what the door prepared, and sends it."""

    def __init__(self, client: Client, secrets: EnvironmentSecrets) -> None:
        """Use one pool of connections; secrets are replaced whole at a reload."""
        self._client = client
        self._secrets = secrets

    def replace_secrets(self, secrets: EnvironmentSecrets) -> None:
        """Use these from now on."""
        self._secrets = secrets

    async def send(
        self, leg: Leg, target: bytes, headers: Headers, body: bytes
    ) -> UpstreamResponse:
        """POST to one leg of a route.

        `headers` hold no credential. Raises UnavailableError `provider_unavailable` or
        `provider_timeout`, PeerError `provider_malformed`; an UnsentError if nothing was sent.
        """
        return await self._client.request(
            leg.origin,
            b"POST",
            target,
            [(b"host", leg.host), *headers, *self._credential(leg.provider)],
            body,
            connect_timeout_s=leg.provider.connect_timeout_s,
            idle_timeout_s=leg.provider.idle_timeout_s,
        )

    def shows_credential(self, leg: Leg, text: bytes) -> bool:
        """Whether a provider's text holds the credential that it was sent (I5)."""
        name = leg.provider.credential
        return name is not None and self._secrets.get(name).reveal().encode() in text

    def _credential(self, provider: Provider) -> Headers:
        if provider.credential is None:
            return ()
        name, scheme = _CREDENTIAL_HEADERS[provider.protocol]
        if provider.credential_header is not None:
            name, scheme = provider.credential_header.lower(), ""
        value = scheme + self._secrets.get(provider.credential).reveal()
        return ((name.encode(), value.encode()),)
