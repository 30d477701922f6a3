"""The values of secrets: read by enforcement alone, never printed, never stored."""

from collections.abc import Mapping
from typing import final

from ringfence.domain.error import UsageError


@final
class Secret:
    """A value that shows itself only when asked for by name of this method."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Keep the value."""
        self._value = value

    def reveal(self) -> str:
        """The value; call this only where it is written to the wire."""
        return self._value

    def __repr__(self) -> str:
        """Never the value."""
        return "Secret(…)"

    __str__ = __repr__


class EnvironmentSecrets:
    """Secrets referred to by the name of an environment variable, read once."""

    def __init__(self, names: frozenset[str], environment: Mapping[str, str]) -> None:
        """Take the named values. Raises UsageError `secret_missing` if one is absent or empty."""
        self._values: dict[str, Secret] = {}
        for name in sorted(names):
            value = environment.get(name, "")
            if not value:
                raise UsageError(
                    "secret_missing",
                    f"environment variable `{name}` is not set",
                    help=f"export {name}=… before starting Ringfence",
                )
            self._values[name] = Secret(value)

    @property
    def names(self) -> frozenset[str]:
        """Which secrets there are."""
        return frozenset(self._values)

    def get(self, name: str) -> Secret:
        """The secret of that name. Raises UsageError `secret_missing`."""
        try:
            return self._values[name]
        except KeyError:
            raise UsageError("secret_missing", f"no secret named `{name}`") from None

    def __repr__(self) -> str:
        """Names only."""
        return f"EnvironmentSecrets({sorted(self._values)})"
