"""TLS in both directions: our certificate, renewed without a restart, and trust in upstreams."""

import ssl
from pathlib import Path

from ringfence.domain.error import UsageError


class ServerTls:
    """Our certificate. `context` stays the same object; what it offers follows the files."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Load both PEM files. Raises UsageError `tls_unusable`."""
        self._certificate = certificate
        self._key = key
        self._seen = self._times()
        self.context = self._load()

    def refresh(self) -> bool:
        """Reload if a file has changed; says whether it did. Raises like `reload`."""
        times = self._times()
        if times == self._seen:
            return False
        self._seen = times
        self.reload()
        return True

    def reload(self) -> None:
        """Offer what the files hold now to new connections.

        Raises UsageError `tls_unusable`, and goes on with the old certificate.
        """
        self._load()
        self.context.load_cert_chain(self._certificate, self._key)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._certificate, self._key)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                "tls_unusable",
                f"cannot use the certificate `{self._certificate}` with the key `{self._key}`",
                help=str(error),
            ) from error
        return context

    def _times(self) -> tuple[int, ...]:
        """When both files last changed; a missing one counts as changed."""
        return tuple(_changed_ns(path) for path in (self._certificate, self._key))


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def client_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Trust the machine's authorities and those in `ca_file`; names are always verified.

    Raises UsageError `ca_unusable`.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                "ca_unusable", f"cannot read authorities from `{ca_file}`", help=str(error)
            ) from error
    return context
