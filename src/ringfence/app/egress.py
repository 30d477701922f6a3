"""What requests of one worker's sandboxes meet on their way out: their path and their door."""

from functools import partial
from typing import Final, final

from ringfence.enforcement.action_path import PathParts
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.authority import Authority
from ringfence.enforcement.credential_injection import Injections
from ringfence.enforcement.held_call import HeldCalls
from ringfence.enforcement.http_call import HttpPath
from ringfence.enforcement.observation import Observations
from ringfence.enforcement.policy import Policies
from ringfence.gateways.egress.door import EgressDoor
from ringfence.gateways.egress.place import EgressLimits, Means
from ringfence.transport.certificate import SandboxAuthority
from ringfence.transport.resolver import Lookup, look_up

_ISSUER: Final = "Ringfence sandbox"


@final
class EgressParts:
    """Joined once for each worker."""

    def __init__(  # noqa: PLR0913 (the parts that it joins)
        self,
        parts: PathParts,
        *,
        policies: Policies,
        injections: Injections,
        approvals: Approvals | None,
        observations: Observations,
        authority: Authority,
        lookup: Lookup = look_up,
    ) -> None:
        """Nobody is served yet."""
        self.ports: set[int] = set()
        """Those that the plane listens on, which no sandbox reaches; 0 is none."""
        self.path = HttpPath(parts, policies=policies, injections=injections, approvals=approvals)
        self.door = EgressDoor(
            Means(
                path=self.path,
                held=HeldCalls(self.path, approvals),
                observations=observations,
                authority=authority,
                clock=parts.clock,
                limits=EgressLimits(),
            ),
            own_ports=self._own_ports,
            lookup=lookup,
        )
        self.authority = partial(SandboxAuthority, _ISSUER, parts.clock)
        """Makes the certificate authority of one sandbox."""

    def _own_ports(self) -> frozenset[int]:
        return frozenset(self.ports)
