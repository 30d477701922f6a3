"""The words of users on whose behalf agents act."""

import re
from typing import Final, NamedTuple

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+@-]{0,253}")
"""What a user can be called, wherever the name comes from: a file, a command, a signed token."""


class Principal(NamedTuple):
    """A user as a proof names them; what they may do is looked up at the time of each action."""

    id: str
    name: str
