"""Tokens that were got with a secret and are not taken: on the record, and got again."""

from collections.abc import Callable
from typing import Final, final

import msgspec

from ringfence.domain.secret import parted, secret_of
from ringfence.enforcement.finding import FindingLog

TOKEN_REFUSED: Final = "secret.token_refused"  # noqa: S105 (a word, not a secret)
_AGAIN_US: Final = 30_000_000
"""So long a refusal of the same token is neither recorded nor told again."""


class TokenRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A token that the plane itself uses was refused; `key` is its name in `Secrets`."""

    key: str


@final
class RefusedTokens:
    """What one worker has seen refused."""

    def __init__(self, findings: FindingLog, tell: Callable[[TokenRefused], None]) -> None:
        """`tell` reaches whoever gets tokens for the plane."""
        self._findings = findings
        self._tell = tell
        self._until_us: dict[str, int] = {}

    def refused(self, key: str, where: str) -> None:
        """Something sent to `where` was refused (401); only a token can be got again."""
        organisation, name = parted(key) or ("", "")
        secret = secret_of(name)
        now_us = self._findings.clock.monotonic_us()
        if secret == name or now_us < self._until_us.get(key, 0):
            return
        self._until_us[key] = now_us + _AGAIN_US
        self.record(organisation, secret, where)
        self._tell(TokenRefused(key=key))

    def record(self, organisation: str, secret: str, where: str) -> None:
        """Put on the record that a token is got again; `organisation` is a name."""
        detail = {"secret": secret, "at": where}
        self._findings.changed_at(organisation, TOKEN_REFUSED, secret, detail)
