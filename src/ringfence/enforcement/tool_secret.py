"""Whether what is given to an agent, or kept, shows one of the plane's own credentials (I5)."""

import logging
from collections.abc import Mapping
from typing import Final, final

from ringfence.enforcement.credential import CredentialScan
from ringfence.protocols.scrubbing import Scrub, Shown
from ringfence.stores.secret import Secrets

_KEPT: Final = 4
"""Of each secret, and of the tokens of each server: those before may still be good."""
_LOG = logging.getLogger(__name__)


@final
class SecretScans:
    """Looks for every credential of the plane, whichever server a result comes from.

    Only for values that are known, in the forms that text takes; so nothing is withheld that
    merely looks like a secret. Short values are placeholders and are not looked for.
    """

    def __init__(self, secrets: Secrets) -> None:
        """Take the secrets in force."""
        self._secrets = secrets
        self._others: dict[str, tuple[CredentialScan, ...]] = {}
        self.replace(secrets)

    def replace(self, secrets: Secrets) -> None:
        """Look for these from now on, and for the last before them: some call has it still."""
        for name, gone in self._secrets.replaced_by(secrets):
            self._keep(name, gone.reveal())
        self._secrets = secrets
        scans = [(name, _scan(secrets, name)) for name in sorted(secrets.names)]
        self._own = tuple((name, scan) for name, scan in scans if scan.longest_bytes)
        known = [(name, secrets.get(name).reveal().encode()) for name, _ in self._own]
        self._scrub = Scrub(Shown(name=name, value=value) for name, value in known)
        self._join()

    def learn(self, server: str, token: str) -> None:
        """Look for an access token of a server from now on, too, and for the last before it."""
        self._keep(f"token of {server}", token)
        self._join()

    def _keep(self, name: str, value: str) -> None:
        kept = self._others.get(name, ())[: _KEPT - 1]
        self._others[name] = (CredentialScan(value.encode()), *kept)

    def _join(self) -> None:
        others = [
            (name, scan)
            for name, scans in self._others.items()
            for scan in scans
            if scan.longest_bytes
        ]
        self._scans = (*self._own, *others)

    def redacted(self, text: bytes) -> tuple[bytes, Mapping[str, int]]:
        """A text with none of them, and how often each was taken out."""
        return self._scrub.whole(text)

    def finds(self, text: bytes) -> bool:
        """Whether the text shows one of them; which one stands in the log."""
        for name, scan in self._scans:
            if scan.finds(text):
                _LOG.error("a tool showed one of our credentials", extra={"secret": name})
                return True
        return False


def _scan(secrets: Secrets, name: str) -> CredentialScan:
    return CredentialScan(secrets.get(name).reveal().encode())
