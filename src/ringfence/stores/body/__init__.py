"""Message bodies: split by message, compressed, stored once per organisation, exact when read.

Read in this order: `content` (cut and join), `address` (keys, salts, commitments), `schema`,
`place` (what is asked of where they are), `sqlite`, `shelf` (one organisation's), `store` (the
thread that writes), `reader`, `text`, `search`.
"""

from ringfence.stores.body.content import Body, Part
from ringfence.stores.body.reader import BodyReader
from ringfence.stores.body.search import BodySearch
from ringfence.stores.body.store import BodyStore

__all__ = ["Body", "BodyReader", "BodySearch", "BodyStore", "Part"]
