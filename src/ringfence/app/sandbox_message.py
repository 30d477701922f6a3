"""What a supervisor asks its workers about sandboxes, and what it is answered."""

import msgspec

from ringfence.domain.sandbox import Sandbox, SandboxGrant, SandboxOrder


class OpenSandbox(msgspec.Struct, frozen=True, tag="open_sandbox"):
    """Make a sandbox and serve it from now on."""

    order: SandboxOrder


class OpenedSandbox(msgspec.Struct, frozen=True, tag="opened_sandbox"):
    """The answer to `OpenSandbox`. INVARIANT (I5): it holds secrets, and its `repr` does not."""

    grant: SandboxGrant


class ListSandboxes(msgspec.Struct, frozen=True, tag="list_sandboxes"):
    """Say which sandboxes of an organisation have not ended."""

    organisation: str


class SandboxList(msgspec.Struct, frozen=True, tag="sandbox_list"):
    """The answer to `ListSandboxes`."""

    sandboxes: tuple[Sandbox, ...]


class EndSandbox(msgspec.Struct, frozen=True, kw_only=True, tag="end_sandbox"):
    """End a sandbox if it is served here; answered by `SandboxTaken` when that is recorded."""

    organisation: str
    sandbox: str
    message: str


class SandboxTaken(msgspec.Struct, frozen=True, tag="sandbox_taken"):
    """The answer to `EndSandbox`: whether it was served there."""

    is_taken: bool
