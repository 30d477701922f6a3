"""What is told of a run besides its commands: files that changed, what was printed, late code."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, Protocol, final

import msgspec

from ringfence.domain.monitoring import Changed, Evidence, LateCodeFound
from ringfence.sandbox.builtins import Builtins
from ringfence.sandbox.plane_message import Message
from ringfence.sandbox.transcript import Transcript
from ringfence.sandbox.workspace.quarantine import SetAside
from ringfence.sandbox.workspace.watched_folder import Left, WatchedFolder

_SHOWN_MOST: Final = 20
"""How many files the operator is told of; the others are known by their names."""
_RECORDED_MOST: Final = 256
"""How many are on record one by one: an agent that leaves more must not fill it."""


class Teller(Protocol):
    """The way to the plane; `PlaneLink` implements it."""

    def tell(self, message: Message, /) -> None:
        """Say something that needs no answer."""


@final
class RunReport:
    """A `monitor.Part`: looks before the command begins and after every process is gone.

    `say` tells the operator. INVARIANT: looks in a thread, so that a large workspace holds up
    neither the heartbeat nor what the kernel asks.
    """

    def __init__(  # noqa: PLR0913 (what it looks at, and whom it tells)
        self,
        folders: Sequence[WatchedFolder],
        mark: str,
        link: Teller,
        say: Callable[[str], None],
        *,
        builtins: Builtins | None = None,
        shared_since_us: int | None = None,
    ) -> None:
        """Begin to look at once; `mark` is in the names of what is set aside.

        The first of the folders is the workspace. Since `shared_since_us` others are at work in it.
        """
        self._folders = folders
        self._mark = mark
        self._link = link
        self._say = say
        self._builtins = builtins
        self._began_us = time.time_ns() // 1000
        self._shared_since_us = shared_since_us
        self._transcript = Transcript()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="report")
        self._before = self._thread.submit(self._look)

    def seen(self, data: bytes) -> None:
        """Something was printed."""
        self._transcript.see(data)

    def begin(self) -> None:
        """Be done looking: after this the workspace is the agent's."""
        self._before.result()

    async def finish(self) -> None:
        """Tell the plane and the operator what has become of the workspace."""
        if len(self._transcript):
            body = self._transcript.body()
            self._link.tell(Evidence(kind="transcript", body=body, time_us=self._began_us))
        said = b"" if self._builtins is None else self._builtins.told()
        if said:
            self._link.tell(Evidence(kind="builtins", body=said, time_us=self._began_us))
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._thread, self._left)
        finally:
            self._thread.shutdown(wait=False)
        aside: list[SetAside] = []
        for place, left in found:
            aside += self._tell(place, left)
        self._tell_operator(aside)
        for place, left in found:
            self._tell_trouble(place, left)

    def _look(self) -> None:
        since_ns = None if self._shared_since_us is None else self._shared_since_us * 1000
        for each in self._folders:
            each.look(self._began_us * 1000, since_ns)

    def _left(self) -> list[tuple[str, Left]]:
        """What is left in each, by its path; that of the workspace is empty."""
        self._before.result()
        paths = ("", *(each.path for each in self._folders[1:]))
        return [
            (path, each.left(self._mark)) for path, each in zip(paths, self._folders, strict=True)
        ]

    def _tell(self, place: str, left: Left) -> list[SetAside]:
        """Tell the plane; gives what was set aside, by its path as people know it."""
        aside = [_within(place, each) for each in left.aside]
        more = max(0, len(aside) - _RECORDED_MOST)
        for number, each in enumerate(aside[:_RECORDED_MOST], 1):
            self._link.tell(
                LateCodeFound(
                    path=each.path,
                    why=each.why,
                    moved_to=each.moved_to,
                    is_restored=each.is_restored,
                    is_removed=each.is_removed,
                    more=more if number == _RECORDED_MOST else 0,
                )
            )
        self._link.tell(Changed(summary=msgspec.json.encode(left.summary), folder=place))
        return aside

    def _tell_operator(self, aside: Sequence[SetAside]) -> None:
        for each in aside[:_SHOWN_MOST]:
            self._say(f"the run left {each.path}, and {each.why}: {_became(each)}")
        if len(aside) > _SHOWN_MOST:
            more = f"and {len(aside) - _SHOWN_MOST} more"
            self._say(f"{more}, each with `.quarantined-{self._mark}` in its name")

    def _tell_trouble(self, place: str, left: Left) -> None:
        what = f"`{place}`" if place else "the workspace"
        if left.summary.trouble:
            self._say(f"look at {what} yourself: {left.summary.trouble}")
        if left.summary.is_partial:
            self._say(f"not all of {what} was looked at: too large, too deep, or locked")
        if shared := left.summary.elsewhere:
            more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
            where = f"{place}/{shared[0]}" if place else shared[0]
            self._say(f"the run changed {where}{more}, which is in use elsewhere too: a hard link")


def _became(aside: SetAside) -> str:
    if aside.is_removed:
        return "REMOVED, as it could not be renamed"
    return f"moved to {aside.moved_to}" if aside.moved_to else "COULD NOT BE MOVED"


def _within(place: str, each: SetAside) -> SetAside:
    if not place:
        return each
    moved = f"{place}/{each.moved_to}" if each.moved_to else ""
    return replace(each, path=f"{place}/{each.path}", moved_to=moved)
