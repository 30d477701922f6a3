"""The words of credentials: what an agent or a person proves itself with."""

from dataclasses import dataclass
from enum import StrEnum

from ringfence.domain.organisation import Role

AGENT_TOKEN_PREFIX = "rf_agt_"  # noqa: S105 (a public prefix, not a secret)
INVOCATION_TOKEN_PREFIX = "rf_inv_"  # noqa: S105 (likewise)
API_KEY_PREFIX = "rf_key_"


class CallerTier(StrEnum):
    """How directly a person stands behind a call."""

    INTERACTIVE = "interactive"
    SUBAGENT = "subagent"
    API = "api"
    BACKGROUND = "background"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCredential:
    """An agent token as the store knows it: the SHA-256 of the secret, never the secret.

    Dead when `revoked_us <= now`; a time still to come is the end of a rotation's grace.
    """

    id: str
    organisation: str
    agent: str
    digest: bytes
    created_us: int
    revoked_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A person's key for the control plane over TCP."""

    id: str
    organisation: str
    user: str
    digest: bytes
    roles: frozenset[Role]
    created_us: int
    revoked_us: int | None = None
