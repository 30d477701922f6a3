"""The values of secrets in memory: read by enforcement alone, never printed."""

from collections.abc import Iterable, Iterator, Mapping
from typing import final

from ringfence.domain.error import UsageError
from ringfence.domain.secret import SecretValue, key_of, parted


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


class Secrets:
    """Every secret by name: variables by their own, others as `organisation/name`.

    Never changed: when a value changes there is another of these.
    """

    def __init__(self, values: Mapping[str, Secret]) -> None:
        """Keep the values."""
        self._values = dict(values)

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

    def find(self, name: str) -> Secret | None:
        """The secret of that name, if it is there."""
        return self._values.get(name)

    def named(self, organisation: str, name: str) -> Secret | None:
        """A secret that an organisation (by its name) names in its configuration, if it is there.

        INVARIANT (I7): one organisation's name never reaches another's secret.
        """
        return self._values.get(key_of(organisation, name))

    def replaced_by(self, others: "Secrets") -> Iterator[tuple[str, Secret]]:
        """Those, by name, whose value is another one there, or none."""
        for name, secret in self._values.items():
            now = others.find(name)
            if now is None or now.reveal() != secret.reveal():
                yield name, secret

    def variables(self) -> frozenset[str]:
        """The names that are variables of the environment."""
        return frozenset(name for name in self._values if parted(name) is None)

    def others(self) -> tuple[SecretValue, ...]:
        """The values that are not of the environment, for other processes of the plane."""
        found: list[SecretValue] = []
        for key in sorted(self._values):
            whose = parted(key)
            if whose is not None:
                value = self._values[key].reveal()
                found.append(SecretValue(organisation=whose[0], name=whose[1], value=value))
        return tuple(found)

    def __repr__(self) -> str:
        """Names only."""
        return f"{type(self).__name__}({sorted(self._values)})"


class EnvironmentSecrets(Secrets):
    """Secrets referred to by the name of an environment variable, read once, and others."""

    def __init__(
        self,
        names: frozenset[str],
        environment: Mapping[str, str],
        others: Iterable[SecretValue] = (),
    ) -> None:
        """Take the named values. Raises UsageError `secret_missing` if one is absent or empty."""
        values: dict[str, Secret] = {}
        for name in sorted(names):
            value = environment.get(name, "")
            if not value:
                raise UsageError(
                    "secret_missing",
                    f"environment variable `{name}` is not set",
                    help=f"export {name}=… before starting Ringfence",
                )
            values[name] = Secret(value)
        for each in others:
            values[key_of(each.organisation, each.name)] = Secret(each.value)
        super().__init__(values)
