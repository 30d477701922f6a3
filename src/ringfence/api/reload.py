"""The route that reads the configuration again."""

import msgspec

from ringfence.api.route import ADMIN, AnyRoute, Call, Nothing, Route
from ringfence.domain.error import UsageError


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration now in force. The epoch is the old one if nothing had changed."""

    epoch: int
    configuration: str


async def reload(call: Call[Nothing, Nothing]) -> Reloaded:
    """Take a new epoch on every worker, or none anywhere and say what is wrong."""
    # One organisation's administrator must not learn from an error what stands in another's file.
    is_shared = len(call.context.configuration().organisations) > 1
    if is_shared and call.person.organisation is not None:
        raise UsageError(
            "local_only",
            "several organisations share this installation",
            help="its operator reloads it with `ringfence reload`",
        )
    loaded = await call.context.reload(call.person.actor)
    return Reloaded(epoch=loaded.epoch, configuration=loaded.digest)


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="POST",
        path="/reload",
        summary="Read the configuration again, all or nothing.",
        roles=ADMIN,
        query=Nothing,
        body=Nothing,
        answer=Reloaded,
        handler=reload,
        is_installation=True,
    ),
)
