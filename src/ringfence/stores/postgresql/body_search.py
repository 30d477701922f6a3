"""Find bodies by their words in PostgreSQL. Nobody pays for it before somebody searches.

The words are cut here and not by the server, so that both backends find the same, and each carries
its organisation, so that no look-up in the common index ever meets another's (I7).
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final, final

from ringfence.stores.body.schema import require_id
from ringfence.stores.body.sqlite import unpack
from ringfence.stores.body.text import text_of
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.body import NOUN, open_bodies
from ringfence.stores.postgresql.connection import Connection, translated

_CHUNKS_AT_ONCE: Final = 200
_PATIENCE_S: Final = 60.0

_WORD: Final = re.compile(r"[^\W_]+")
_MOST_WORDS: Final = 8_000
_MOST_PLACES: Final = 255
_LONGEST: Final = 200
"""What a tsvector takes (chapter 12.11): positions below 16,384, 256 of each word, 1 MiB in all;
a longer text takes several rows, a longer word is cut."""

_BEGIN: Final = b"""INSERT INTO body_searches VALUES (%s, 0)
    ON CONFLICT (organisation) DO UPDATE SET indexed = body_searches.indexed RETURNING indexed"""
_CHUNKS: Final = b"""SELECT id, packed, data FROM body_chunks
    WHERE organisation = %s AND id > %s ORDER BY id LIMIT %s"""
_ADD: Final = b"""INSERT INTO body_words VALUES (%s, %s, %s, %s::tsvector)
    ON CONFLICT DO NOTHING"""
_INDEXED: Final = b"UPDATE body_searches SET indexed = %s WHERE organisation = %s"
_WORD_IN: Final = "SELECT chunk FROM body_words WHERE organisation = %s AND words @@ %s::tsquery"
_ACTIONS: Final = """SELECT action FROM ({chunks}) AS found
    JOIN body_chunks AS piece ON piece.organisation = %s AND piece.id = found.chunk
    JOIN bodies ON bodies.organisation = %s AND bodies.number = piece.introduced
    GROUP BY action ORDER BY max(piece.id) DESC LIMIT %s"""


@final
class BodySearch:
    """Searches an organisation's bodies through an index that is brought up to date first."""

    def __init__(self, address: Address) -> None:
        """Connect when something is searched."""
        self._address = address

    def actions(self, organisation: str, text: str, *, limit: int) -> list[str]:
        """As `stores.body.BodySearch.actions`."""
        require_id(organisation)
        words = [query for query in (_query(organisation, word) for word in text.split()) if query]
        if not words:
            return []
        connection = open_bodies(self._address)
        connection.patience_s = _PATIENCE_S
        try:
            with translated(NOUN):
                while _catch_up(connection, organisation):
                    pass
                chunks = " INTERSECT ".join([_WORD_IN] * len(words))
                values = [value for word in words for value in (organisation, word)]
                values += (organisation, organisation)
                query = _ACTIONS.format(chunks=chunks).encode()
                found = connection.execute(query, (*values, limit)).fetchall()
                return [action for (action,) in found]
        finally:
            connection.close()


def _catch_up(connection: Connection, organisation: str) -> bool:
    """Index some of the chunks that came since the last search; whether there were any."""
    with connection.transaction():
        (indexed,) = connection.execute(_BEGIN, (organisation,)).fetchone() or (0,)
        chunks = connection.execute(
            _CHUNKS, (organisation, indexed, _CHUNKS_AT_ONCE), binary=True
        ).fetchall()
        if not chunks:
            return False
        rows = [
            (organisation, number, piece, vector)
            for number, packed, data in chunks
            for piece, vector in enumerate(_vectors(organisation, text_of(unpack(packed, data))))
        ]
        if rows:
            with connection.cursor() as cursor:
                cursor.executemany(_ADD, rows)
        connection.execute(_INDEXED, (chunks[-1][0], organisation))
    return True


def _vectors(organisation: str, text: str) -> Iterator[str]:
    """The words of a text with their places, as texts of tsvectors."""
    words = _words(text)
    for start in range(0, len(words), _MOST_WORDS):
        places: dict[str, list[str]] = {}
        for place, word in enumerate(words[start : start + _MOST_WORDS], 1):
            known = places.setdefault(word, [])
            if len(known) < _MOST_PLACES:
                known.append(str(place))
        yield " ".join(f"'{organisation} {word}':{','.join(at)}" for word, at in places.items())


def _query(organisation: str, word: str) -> str:
    """A word as it was typed, which may be several joined by other signs: one after another."""
    return " <-> ".join(f"'{organisation} {part}'" for part in _words(word))


def _words(text: str) -> list[str]:
    """INVARIANT: letters and digits alone, so that nothing in them is a sign of the query."""
    if not text.isascii():  # accents do not count, as in the other backend's index
        parts = unicodedata.normalize("NFKD", text)
        text = "".join(sign for sign in parts if not unicodedata.combining(sign))
    return [word[:_LONGEST] for word in _WORD.findall(text.casefold())]
