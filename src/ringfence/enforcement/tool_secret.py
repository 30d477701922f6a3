"""Whether a result of a tool shows one of the plane's own credentials (I5)."""

import logging
from typing import final

from ringfence.enforcement.credential import CredentialScan
from ringfence.stores.secret import Secrets

_LOG = logging.getLogger(__name__)


@final
class SecretScans:
    """Looks for every credential of the plane, whichever server a result comes from.

    Only for values that are known, in the forms that text takes; so nothing is withheld that
    merely looks like a secret. Short values are placeholders and are not looked for.
    """

    def __init__(self, secrets: Secrets) -> None:
        """Take the secrets in force."""
        self.replace(secrets)

    def replace(self, secrets: Secrets) -> None:
        """Look for these from now on."""
        scans = [(name, _scan(secrets, name)) for name in sorted(secrets.names)]
        self._scans = tuple((name, scan) for name, scan in scans if scan.longest_bytes)

    def finds(self, text: bytes) -> bool:
        """Whether the text shows one of them; which one stands in the log."""
        for name, scan in self._scans:
            if scan.finds(text):
                _LOG.error("a tool showed one of our credentials", extra={"secret": name})
                return True
        return False


def _scan(secrets: Secrets, name: str) -> CredentialScan:
    return CredentialScan(secrets.get(name).reveal().encode())
