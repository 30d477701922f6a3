"""What one load gathers on its way, and the values that it reads from single texts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ringfence.config.problem import Place, Problems, nearest, shown
from ringfence.config.tree import Items, Node, Table, Text
from ringfence.config.variable import expand, names_secret
from ringfence.domain.secret import SecretDefinition, key_of, token_of


@dataclass(slots=True)
class Reading:
    """What one load gathers on its way: problems, notes, the names of secrets, and places."""

    environment: Mapping[str, str]
    problems: Problems = field(default_factory=Problems)
    notes: Problems = field(default_factory=Problems)
    secret_names: set[str] = field(default_factory=set)
    organisation: str = ""
    secrets: Mapping[str, SecretDefinition] = field(default_factory=dict)
    """What the organisation defines under `secrets`, by name."""
    uses: dict[str, "SecretUse"] = field(default_factory=dict)
    """Where the plane itself uses one of them first, by the key of `domain.secret.key_of`."""
    places: dict[tuple[str, ...], Place] = field(default_factory=dict)
    """Where a thing stands that is judged later together with others."""
    fallbacks: dict[tuple[str, str], "Item"] = field(default_factory=dict)
    """How a model's fallback is written, by the names of both."""

    def text(self, node: Text) -> str | None:
        """The text with its environment references replaced; None if that cannot be done."""
        expansion = expand(node.text, self.environment)
        for name in expansion.missing:
            self.missing(name, node.place)
        if expansion.is_broken and names_secret(node.text):
            help_ = "it can stand in a `credential`, or in `env` of a command"
            self.problems.add(node.place, "no secret can stand here", help_)
        elif expansion.is_broken:
            help_ = "write `${NAME}` for a variable, `$${` for the characters themselves"
            self.problems.add(node.place, "a broken reference to the environment", help_)
        return None if expansion.missing or expansion.is_broken else expansion.value

    def missing(self, name: str, place: Place) -> None:
        """Note a variable that has no value."""
        what = f"environment variable `{name}` is not set"
        self.problems.add(place, what, f"set it before starting: export {name}=…")

    def secret(self, name: str, place: Place) -> None:
        """Note that a variable holds a secret; its value is not looked at here."""
        self.secret_names.add(name)
        if not self.environment.get(name):
            self.missing(name, place)

    def use(self, name: str, place: Place, what: str, *, is_sent: bool) -> str:
        """Note that the plane itself uses a secret of the organisation; the key of its value.

        `what` is where it stands, in words. `is_sent` says that it goes into a header.
        """
        if name not in self.secrets:
            self.problems.add(place, f"unknown secret {shown(name)} in {what}", self._known(name))
        is_minted = name in self.secrets and self.secrets[name].minting is not None
        key = key_of(self.organisation, token_of(name) if is_minted else name)
        first = self.uses.setdefault(key, SecretUse(place=place, what=what, is_sent=is_sent))
        if is_sent and not first.is_sent:
            self.uses[key] = SecretUse(place=first.place, what=first.what, is_sent=True)
        return key

    def _known(self, name: str) -> str:
        return nearest(name, self.secrets) or "name it under `secrets`"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretUse:
    """Where the plane itself uses a secret; `what` names that in words."""

    place: Place
    what: str
    is_sent: bool


@dataclass(frozen=True, slots=True)
class Item:
    """A value read from a list, where it stands and how it is written.

    Error texts show `written`, never `value`, which may come from the environment.
    """

    value: str
    written: str
    place: Place


def kind(node: Node) -> str:
    """What a node is, in words."""
    match node:
        case Text():
            return "nothing" if node.is_nothing else "text"
        case Items():
            return "a list"
        case Table():
            return "a mapping"
