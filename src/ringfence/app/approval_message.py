"""What a worker asks its supervisor about held calls, and what it is answered."""

import msgspec

from ringfence.domain.approval import Approval, Binding
from ringfence.domain.verdict import Reason
from ringfence.enforcement.approval import Asking, Held


class HoldCall(msgspec.Struct, frozen=True, tag="hold_call"):
    """A worker asks for a call to be held until a person has answered."""

    asking: Asking


class HeldCall(msgspec.Struct, frozen=True, tag="held_call"):
    """The answer to `HoldCall`: the held call, or why it is not put before people."""

    held: Held | None = None
    refused: Reason | None = None


class FindApproval(msgspec.Struct, frozen=True, kw_only=True, tag="find_approval"):
    """A worker asks how a held call stands; answered when that is decided, or after `wait_s`."""

    organisation: str
    approval: str
    wait_s: float = 0.0


class FoundApproval(msgspec.Struct, frozen=True, tag="found_approval"):
    """The answer to `FindApproval`: the held call, if there is one."""

    approval: Approval | None


class ConsumeApproval(msgspec.Struct, frozen=True, kw_only=True, tag="consume_approval"):
    """A worker wants to use an approval for an action."""

    approval: str
    binding: Binding
    action: str


class ConsumedApproval(msgspec.Struct, frozen=True, kw_only=True, tag="consumed_approval"):
    """The answer to `ConsumeApproval`: the approval, used up, or why it may not be used."""

    approval: Approval | None = None
    refused: Reason | None = None
