"""A desk for held calls on a state store in memory."""

from collections.abc import Set as AbstractSet

from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from ringfence.domain.approval import Approval
from ringfence.domain.error import UnavailableError
from ringfence.domain.verdict import Deny
from ringfence.enforcement.approval import ApprovalDesk, Held
from ringfence.enforcement.tool_grant import GrantedToken
from ringfence.stores.state.approval import ApprovalRecords
from ringfence.stores.state.database import Database
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids

News = list[tuple[str, str]]
"""What was told of held calls: what, and the id."""


def records() -> ApprovalRecords:
    """Held calls in memory."""
    engine = create_engine(
        "sqlite://",
        poolclass=StaticPool,
        connect_args={"check_same_thread": False, "isolation_level": None},
    )
    return ApprovalRecords(Database(engine))


def taken(found: Held | Deny) -> Held:
    """What a desk has held."""
    assert isinstance(found, Held), found
    return found


def desk(
    clock: Clock,
    ids: Ids,
    *,
    approvers: AbstractSet[str] = frozenset({"user:ann", "user:bob"}),
    news: News | None = None,
    kept: ApprovalRecords | None = None,
) -> ApprovalDesk:
    """A desk at which these users may approve; `news` is what it tells."""

    async def tell(what: str, approval: Approval) -> None:
        if news is not None:
            news.append((what, approval.id))

    return ApprovalDesk(
        kept or records(), clock=clock, ids=ids, approvers=lambda _: approvers, tell=tell
    )


class NobodyGranted:
    """Implements `enforcement.tool_grant.Grants` where nobody has granted anything."""

    async def granted(self, organisation: str, server: str, refused: str) -> GrantedToken:
        del organisation, refused
        raise UnavailableError("not_authorised", f"nobody has granted `{server}`")


NOBODY = NobodyGranted()
