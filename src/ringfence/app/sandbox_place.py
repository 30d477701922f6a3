"""Which worker of a plane serves each sandbox."""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import final

from ringfence.app.remote_worker import RemoteWorker
from ringfence.domain.error import UnavailableError
from ringfence.domain.sandbox import SandboxGrant


@final
class SandboxPlaces:
    """Where each sandbox is served, and the invocation that it is; used by one event loop."""

    def __init__(self) -> None:
        """There is none yet."""
        self._places: dict[str, tuple[RemoteWorker, str]] = {}
        self._coming: list[RemoteWorker] = []
        """The workers that are making one, once for each."""

    def emptiest(self, workers: Iterable[RemoteWorker]) -> RemoteWorker:
        """Of those that serve, the one with the fewest; raises UnavailableError if none serves."""
        free = sorted((each for each in workers if each.is_serving), key=self._count)
        if not free:
            raise UnavailableError("worker_starting", "no worker serves yet")
        return free[0]

    @contextmanager
    def coming(self, worker: RemoteWorker) -> Iterator[None]:
        """A worker is making one, which counts meanwhile: of two that come at once, too."""
        self._coming.append(worker)
        try:
            yield
        finally:
            self._coming.remove(worker)

    def put(
        self, grant: SandboxGrant, worker: RemoteWorker, is_open: Callable[[str], bool]
    ) -> None:
        """A worker serves this one from now on; those whose invocation is over are forgotten."""
        self._places = {name: at for name, at in self._places.items() if is_open(at[1])}
        self._places[grant.id] = (worker, grant.invocation)

    def server_of(self, sandbox: str) -> RemoteWorker | None:
        """Who serves it, if anybody does."""
        worker, _ = self._places.get(sandbox, (None, ""))
        return worker

    def lost(self, worker: RemoteWorker) -> AbstractSet[str]:
        """Forget those of a worker that has ended; their ids."""
        gone = {name for name, (serving, _) in self._places.items() if serving is worker}
        for name in gone:
            del self._places[name]
        return gone

    def _count(self, worker: RemoteWorker) -> int:
        served = sum(each is worker for each, _ in self._places.values())
        return served + sum(each is worker for each in self._coming)
