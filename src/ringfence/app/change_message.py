"""What may take something back, told to every worker in one order; and what renews authority."""

import msgspec

from ringfence.domain.agent import AgentState
from ringfence.domain.credential import AgentCredential
from ringfence.domain.organisation import Configuration
from ringfence.domain.secret import SecretValue


class Configure(msgspec.Struct, frozen=True, kw_only=True, tag="configure"):
    """Take this epoch of the configuration whole. `secrets` are names of variables.

    `change` numbers it among all changes; renewals of authority name the last one sent.
    """

    change: int
    configuration: Configuration
    states: dict[str, AgentState]
    secrets: frozenset[str]
    values: tuple[SecretValue, ...] = ()
    """Of secrets that are not in the environment, which the worker has too."""


class SecretsChange(msgspec.Struct, frozen=True, kw_only=True, tag="secrets"):
    """Use these secrets from now on; as in `Configure`."""

    change: int
    secrets: frozenset[str]
    values: tuple[SecretValue, ...]


class CredentialsChange(msgspec.Struct, frozen=True, kw_only=True, tag="credentials"):
    """Take these credentials as new, or as replacing those with the same id."""

    change: int
    credentials: tuple[AgentCredential, ...]


class StateChange(msgspec.Struct, frozen=True, kw_only=True, tag="state"):
    """Admit, or refuse and stop, this agent from now on."""

    change: int
    organisation: str
    agent: str
    state: AgentState


class Renewal(msgspec.Struct, frozen=True, tag="renewal"):
    """Authority until then, on the machine's monotonic clock, for who has taken that change."""

    until_us: int
    change: int


Change = Configure | CredentialsChange | StateChange | SecretsChange
"""What takes something back, or may: told to every worker in the same order."""
