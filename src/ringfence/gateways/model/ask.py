"""What is asked of the model gateway: a request, where its answer goes, and what it may take."""

from dataclasses import dataclass

import msgspec

from ringfence.enforcement.allowance import Portion
from ringfence.gateways.model.endpoint import Endpoint
from ringfence.transport.http import Request, Response


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """What one call may take of the plane's memory and patience."""

    request_bytes: int = 32 * 1024 * 1024
    answer_bytes: int = 64 * 1024 * 1024
    drain_s: float = 60.0
    """How long a stream is read on after its agent has left."""
    body_s: float = 300.0
    """How long a request's body may take to come: 32 MiB at 1 Mbit/s."""
    intent_s: float = 10.0
    """How long the ledger may take to write an intent."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of the door, and where the answer goes."""

    request: Request
    response: Response
    endpoint: Endpoint
    portion: Portion
