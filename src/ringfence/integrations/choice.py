"""What of a grant suits an agent: a model whose provider speaks its protocol."""

from collections.abc import Sequence

from ringfence.domain.model import ProviderProtocol
from ringfence.domain.sandbox import SandboxGrant


def model(grant: SandboxGrant, *protocols: ProviderProtocol) -> str:
    """The first model that speaks one of these, the protocols in order; empty if none does."""
    for protocol in protocols:
        for name, spoken in grant.models.items():
            if spoken == protocol:
                return name
    return ""


def is_given(command: Sequence[str], *options: str) -> bool:
    """Whether whoever calls has chosen this already, as `--option`, `--option=…` or `-o…`."""
    return any(
        word == option or word.startswith(f"{option}=")
        for word in command[1:]
        for option in options
    )
