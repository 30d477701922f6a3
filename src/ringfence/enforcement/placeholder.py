"""What a sandbox holds in the place of secrets: random, of the same shape, and worth nothing."""

import re
import string
from collections.abc import Iterable, Mapping
from typing import Final, final

from ringfence.domain.error import PeerError
from ringfence.domain.secret import SecretDefinition
from ringfence.enforcement.credential import CredentialScan, StreamScan
from ringfence.protocols.content_coding import Undoing, can_undo, is_identity
from ringfence.transport import entropy

_KNOWN_PREFIX: Final = re.compile(
    r"(?:sk|rk|pk)[-_](?:ant-(?:api|admin|sid)[0-9]{2}-|proj-|svcacct-|or-v1-|live_|test_)?"
    r"|gh[opsur]_|github_pat_|glpat-|xox[a-z]-|xapp-|hf_|npm_|pypi-|dop_v1_|shpat_|lin_api_"
    r"|AKIA|ASIA|AIza|ya29\.|eyJ"
)
"""Beginnings that tell a kind of key and nothing of the key; clients look for some of them."""
_RANDOM_CHARACTERS: Final = 24
"""At least so many: nobody guesses one, and no text has one by accident."""
_UNKNOWN_CHARACTERS: Final = 40
"""How long one is whose secret has no value yet."""
_LONGEST_CHARACTERS: Final = 4096
_UNPACKED_BYTES: Final = 64 * 1024
"""Of what was packed so much, and as much as came, is searched for escapes of a placeholder; the
rest as it is. Else little that is sent would take seconds to look into."""
_CLASSES: Final = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
_ANY: Final = string.ascii_letters + string.digits


def shaped(value: str) -> str:
    """A random text in the shape of a value: its well-known beginning, its length, its classes.

    INVARIANT (I5): it tells nothing of the value but these; a short value's is longer.
    """
    known = _KNOWN_PREFIX.match(value)
    prefix = known[0] if known else ""
    rest = value[len(prefix) : _LONGEST_CHARACTERS]
    rest += "x" * (_RANDOM_CHARACTERS - len(rest))
    return prefix + "".join(_drawn(each) for each in rest)


def _drawn(character: str) -> str:
    for letters in _CLASSES:
        if character in letters:
            return entropy.choice(letters)
    return character if character in "-_." else entropy.choice(_ANY)


@final
class Placeholders:
    """Those of one sandbox. INVARIANT: random, so that no two sandboxes hold the same."""

    __slots__ = ("_by_name", "_scans", "_secrets", "kept")

    def __init__(
        self, secrets: Iterable[SecretDefinition], values: Mapping[str, str | None]
    ) -> None:
        """Make one for each secret that has a variable; `values` are those that are known."""
        self._secrets = {each.name: each for each in secrets if each.placeholder}
        self._by_name = {
            name: shaped(values.get(name) or "x" * _UNKNOWN_CHARACTERS) for name in self._secrets
        }
        self._scans = {name: CredentialScan(text.encode()) for name, text in self._by_name.items()}
        self.kept: dict[object, object] = {}
        """What is worked out once for this sandbox by whoever injects."""

    @property
    def variables(self) -> dict[str, str]:
        """The placeholders by the name of their variable."""
        return {each.placeholder: self._by_name[name] for name, each in self._secrets.items()}

    def of(self, name: str) -> str:
        """The placeholder of a secret; empty if it has none."""
        return self._by_name.get(name, "")

    def misplaced(self, text: bytes, host: str, port: int) -> str | None:
        """The name of a secret whose placeholder stands in a text for a host it is not for."""
        for name in self._foreign(host, port):
            if self._scans[name].finds(text):
                return name
        return None

    def watch(self, host: str, port: int, coding: bytes = b"") -> "PlaceholderWatch":
        """Looks for the same in a body as it passes, and in what its content coding says."""
        foreign = self._foreign(host, port)
        return PlaceholderWatch({name: self._scans[name] for name in foreign}, coding)

    def _foreign(self, host: str, port: int) -> list[str]:
        return [
            name
            for name, each in self._secrets.items()
            if not any((bound.host, bound.port) == (host, port) for bound in each.bindings)
        ]

    def __repr__(self) -> str:
        """Names only."""
        return f"Placeholders({sorted(self._by_name)})"


@final
class PlaceholderWatch:
    """One body on its way to a host."""

    __slots__ = ("_inner", "_left_bytes", "_scans", "_undoing")

    def __init__(self, scans: Mapping[str, CredentialScan], coding: bytes = b"") -> None:
        """Made by `Placeholders.watch`."""
        self._scans = {name: StreamScan(scan) for name, scan in scans.items()}
        self._inner = {name: StreamScan(scan) for name, scan in scans.items()}
        is_packed = bool(scans) and can_undo(coding) and not is_identity(coding)
        self._undoing = Undoing(coding) if is_packed else None
        self._left_bytes = _UNPACKED_BYTES

    def finds(self, piece: bytes) -> str | None:
        """The name of a secret that is not for that host; ask before the piece is passed on."""
        for name, scan in self._scans.items():
            if scan.finds(piece):
                return name
        if self._undoing is None:
            return None
        try:
            plain = self._undoing.feed(piece)
        except PeerError:  # not packed as it says: its host will see that, too
            self._undoing = None
            return None
        self._left_bytes += len(piece)
        near, far = plain[: self._left_bytes], plain[self._left_bytes :]
        self._left_bytes -= len(near)
        for name, scan in self._inner.items():
            if scan.finds(near) or (far and scan.finds(far, is_plain=True)):
                return name
        return None
