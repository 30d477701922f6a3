"""Finds a provider's credential in what the provider answers, in the forms that text takes."""

import re
from collections.abc import Iterable
from typing import final

from ringfence.protocols.escape import Escapes, may_escape
from ringfence.protocols.secret_form import base64_cores

SECRET_BYTES_MIN = 16
"""Shorter values are placeholders for servers that want none (`EMPTY`, `ollama`), or words: looking
for them would withhold answers that merely mention them."""

_ESCAPE_BYTES_MAX = 12
r"""The longest usual way to write one byte, escaped twice: `\u005cu0041`."""
_TELLING_CHARACTERS = 20
"""So much of a credential in base64 is no accident: 120 bits."""

_ANSWERS_MOST = 128
"""As many as one call may ask for (`decisions.model_call.MAX_ANSWERS`)."""

_ALIKE = re.compile(rb"[A-Za-z0-9]+")
"""What both alphabets of base64 write alike."""


@final
class CredentialScan:
    r"""Looks for one credential: plain, in base64, and either of them with escapes.

    The escapes are those of JSON (`\/`, `\u0041`), HTML and URLs (`%41`), on any of its characters,
    and up to three times (`protocols.escape`).
    """

    __slots__ = ("_escapes", "_plain", "beginning", "longest_bytes")

    def __init__(self, secret: bytes) -> None:
        """Compile the search once for a credential; a short one is never found."""
        forms = _forms(secret) if len(secret) >= SECRET_BYTES_MIN else ()
        # As text: CPython looks for bytes in bytes by way of an exception, at six times the cost.
        self._plain = tuple(form.decode("latin-1") for form in forms)
        self._escapes = Escapes.of(frozenset(b"".join(forms)))
        self.beginning = ""
        """So much of the credential, from its start, that it is no accident; empty for none."""
        if self._plain:
            telling = max(SECRET_BYTES_MIN, len(secret) // 2)
            self.beginning = secret[:telling].decode("latin-1")
        self.longest_bytes = max(map(len, self._plain), default=0) * _ESCAPE_BYTES_MAX

    def finds(self, text: bytes) -> bool:
        """Whether the text shows the credential."""
        if self.finds_plain(text):
            return True
        if not self._plain or not _may_hide(text):
            return False
        read = [view.text for view in self._escapes.views(text, is_last=True)]
        # A slash alone may be escaped, which PHP does everywhere.
        read += [each.replace(b"\\/", b"/") for each in (text, *read) if b"\\/" in each]
        texts = [each.decode("latin-1") for each in read]
        return any(form in each for each in texts for form in self._plain)

    def finds_plain(self, text: bytes) -> bool:
        """Whether the text shows it with nothing escaped, which is much quicker to tell."""
        plain = text.decode("latin-1")
        return any(form in plain for form in self._plain)


def _may_hide(text: bytes) -> bool:
    """Whether anything in a text may mean something else; the end of an event does not."""
    return may_escape(text) or text.find(b"\n", 0, len(text) - 2) >= 0


@final
class StreamScan:
    """Looks for a credential in a stream, also where it lies across two pieces."""

    __slots__ = ("_before", "_kept_bytes", "_scan")

    def __init__(self, scan: CredentialScan) -> None:
        """Nothing has passed yet."""
        self._scan = scan
        self._kept_bytes = max(1, scan.longest_bytes - 1)
        self._before = b""

    def finds(self, piece: bytes, *, is_plain: bool = False) -> bool:
        """Whether the credential ends in this piece; ask before the piece is passed on.

        With `is_plain` only where nothing of it is escaped.
        """
        text = self._before + piece if self._before else piece
        # No form of a credential goes on after an empty line, and an event ends with one.
        is_over = text.endswith((b"\n\n", b"\n\r\n"))
        self._before = b"" if is_over else text[-self._kept_bytes :]
        return self._scan.finds_plain(text) if is_plain else self._scan.finds(text)


@final
class SpeechScan:
    """Looks for a credential that a model spells over several events, piece by piece.

    What has passed cannot be called back, so its first half is enough; the rest never passes. Only
    plain: what spells it in another form piece by piece is not found.
    """

    __slots__ = ("_before", "_beginning")

    def __init__(self, scan: CredentialScan) -> None:
        """Nothing has been said yet."""
        self._beginning = scan.beginning
        self._before: dict[int, str] = {}

    def finds(self, said: Iterable[tuple[int, str]]) -> bool:
        """Whether these pieces, each of one of the answers, go on to tell it."""
        beginning = self._beginning
        if not beginning:
            return False
        for answer, piece in said:
            text = self._before.get(answer, "") + piece
            if beginning in text:
                return True
            if len(self._before) > _ANSWERS_MOST:
                self._before.clear()
            self._before[answer] = text[1 - len(beginning) :]
        return False


def _forms(secret: bytes) -> tuple[bytes, ...]:
    """The credential, and what base64 makes of it wherever it stands in what was encoded."""
    forms = [secret]
    for encoded in base64_cores(secret):
        alike = max(_ALIKE.findall(encoded), key=len)
        if len(alike) >= _TELLING_CHARACTERS:
            forms.append(alike)
        else:
            forms += [encoded, encoded.translate(bytes.maketrans(b"+/", b"-_"))]
    return tuple(dict.fromkeys(forms))
