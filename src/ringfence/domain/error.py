"""The three families of error, by who must act on them."""

from typing import ClassVar


class RingfenceError(Exception):
    """An error with a stable code, a one-line message for people and what to do about it.

    `message` is lower case, one line, without a full stop; user input stands in backticks.
    """

    family: ClassVar[str] = "error"

    def __init__(self, code: str, message: str, *, help: str = "") -> None:  # noqa: A002 (the field's name everywhere)
        """Keep the three parts apart; `str()` gives the message alone."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help


class UsageError(RingfenceError):
    """The operator must act: settings, policy or command are wrong."""

    family: ClassVar[str] = "usage"


class PeerError(RingfenceError):
    """An agent or an upstream broke a protocol."""

    family: ClassVar[str] = "peer"


class UnavailableError(RingfenceError):
    """A store, the network or a provider does not answer; trying again later may help."""

    family: ClassVar[str] = "unavailable"


class UnsentError(UnavailableError):
    """Nothing of a request was sent, so that nobody can have acted on it or charged for it."""
