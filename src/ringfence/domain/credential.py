"""The words of credentials: what an agent or a person proves itself with."""

from dataclasses import dataclass

from ringfence.domain.caller import CallerTier
from ringfence.domain.organisation import Role

AGENT_TOKEN_PREFIX = "rf_agt_"  # noqa: S105 (a public prefix, not a secret)
INVOCATION_TOKEN_PREFIX = "rf_inv_"  # noqa: S105 (likewise)
USER_TOKEN_PREFIX = "rf_usr_"  # noqa: S105 (likewise)
API_KEY_PREFIX = "rf_key_"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCredential:
    """A token as the store knows it: the SHA-256 of the secret, never the secret.

    `agent` is who calls with it; for a user token it is empty, and `user` is for whom an agent that
    shows it acts. `tier` is that of an agent token's calls. Dead when `revoked_us <= now`; a time
    still to come is the end of a rotation's grace, or when a user token expires.
    """

    id: str
    organisation: str
    agent: str
    digest: bytes
    created_us: int
    revoked_us: int | None = None
    user: str = ""
    tier: CallerTier = CallerTier.API


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
