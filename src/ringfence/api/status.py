"""The route that says how the plane is."""

import msgspec

from ringfence.api import access
from ringfence.api.context import WorkerStatus
from ringfence.api.route import VIEWER, AnyRoute, Call, Nothing, Route


class WorkerView(msgspec.Struct, frozen=True, kw_only=True):
    """One worker of the data plane.

    `memory_bytes` is what it holds now, `cpu_us` what it has used since it started, `messages` how
    many it has exchanged with its supervisor, `inquiries` how many of those were its questions.
    `trouble` is empty if it can do its work.
    """

    pid: int
    epoch: int
    open_invocations: int
    connections: int
    memory_bytes: int
    cpu_us: str
    messages: str
    inquiries: str
    trouble: str


class StatusView(msgspec.Struct, frozen=True, kw_only=True):
    """The installation as it runs; nothing of any organisation.

    Where several share it, only its operator sees how much goes on: what they do is theirs.
    """

    version: str
    is_serving: bool
    started_us: str
    epoch: int
    configuration: str
    """Digest of the configuration in force; empty where it is not the asker's alone."""
    workers: list[WorkerView]


async def show_status(call: Call[Nothing, Nothing]) -> StatusView:
    """Version, epoch and workers."""
    context = call.context
    configuration = context.configuration()
    is_whole = access.sees_whole(context, call.person)
    workers = await context.workers.status() if is_whole else []
    return StatusView(
        version=context.version,
        is_serving=context.is_serving,
        started_us=str(context.started_us),
        epoch=configuration.epoch,
        configuration=configuration.digest if is_whole else "",
        workers=[_view(each) for each in workers],
    )


def _view(status: WorkerStatus) -> WorkerView:
    return WorkerView(
        pid=status.pid,
        epoch=status.epoch,
        open_invocations=status.open_invocations,
        connections=status.connections,
        memory_bytes=status.memory_bytes,
        cpu_us=str(status.cpu_us),
        messages=str(status.messages),
        inquiries=str(status.inquiries),
        trouble=status.trouble,
    )


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/status",
        summary="Show the version, the configuration epoch and the workers.",
        roles=VIEWER,
        query=Nothing,
        body=Nothing,
        answer=StatusView,
        handler=show_status,
        is_installation=True,
    ),
)
