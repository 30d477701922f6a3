"""What agents ask and tell at `/ringfence/v1/actions`, and what they are answered, as JSON."""

from typing import Annotated, Final, Literal

import msgspec

from ringfence.enforcement.held_call import Unanswered

_SECONDS: Final = 600
_NOTHING: Final = msgspec.Raw(b"{}")

Text = Annotated[str, msgspec.Meta(max_length=200)]


class CommandOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command that an agent runs by itself: its words, and where.

    The text of a shell is `["bash", "-c", TEXT]`: what is asked for is the shell.
    """

    argv: Annotated[list[str], msgspec.Meta(min_length=1, max_length=4096)]
    directory: Annotated[str, msgspec.Meta(max_length=4096)] = ""


class RequestOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request that an agent sends by itself; its body is not told."""

    url: Annotated[str, msgspec.Meta(max_length=8192)]
    method: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{1,20}$")] = "GET"


class ActionOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agent wants to do by itself: a tool, and with what, a `command`, or a `request`.

    `seconds` is how long the action may take until its outcome is told, `wait_s` how long to wait
    for a person who must approve it, `call_id` the model's id of the call.
    """

    tool: Text = ""
    arguments: msgspec.Raw = _NOTHING
    command: CommandOrder | None = None
    request: RequestOrder | None = None
    call_id: Text = ""
    seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = _SECONDS
    wait_s: Annotated[int, msgspec.Meta(ge=0, le=300)] = 0


class ActionReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of an action, as its agent tells it.

    `exit_code` is of a command, `http_status` of a request.
    """

    status: Literal["ok", "error"]
    exit_code: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = None
    http_status: Annotated[int, msgspec.Meta(ge=100, le=599)] | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: Text = ""


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome on its way to the worker that keeps the action."""

    organisation: str
    credential: str
    action: str
    is_ok: bool
    result: bytes
    error: str
    exit_code: int | None = None
    http_status: int | None = None


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """The action may be done, with exactly these arguments."""

    id: str
    verdict: str
    arguments: msgspec.Raw
    deadline_at_us: str


class AskAgain(msgspec.Struct, frozen=True, kw_only=True):
    """A person must approve it first: ask again, unchanged."""

    verdict: str
    approval: str
    reasons: list[str]
    message: str
    expires_at_us: str

    @classmethod
    def of(cls, held: Unanswered) -> "AskAgain":
        """For a call that is held."""
        approval = held.approval
        return cls(
            verdict="ask",
            approval=approval.id,
            reasons=list(approval.reasons),
            message="A person must approve this first. Ask again with the same call later; "
            f"GET /ringfence/v1/approvals/{approval.id}?wait=30 waits for the answer.",
            expires_at_us=str(approval.expires_us),
        )


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome was taken."""

    id: str
    status: str
