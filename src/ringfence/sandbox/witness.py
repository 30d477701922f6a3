"""What is told of a run besides its commands: files that changed, what was printed, late code."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol, final

import msgspec

from ringfence.domain.monitoring import Changed, Evidence, LateCodeFound
from ringfence.sandbox import late_code, workspace
from ringfence.sandbox.builtins import Builtins
from ringfence.sandbox.plane_message import Message
from ringfence.sandbox.transcript import Transcript

_SHOWN_MOST: Final = 20
"""How many files the operator is told of; the record has all."""


class Teller(Protocol):
    """The way to the plane; `PlaneLink` implements it."""

    def tell(self, message: Message, /) -> None:
        """Say something that needs no answer."""


@final
class Witness:
    """A `monitor.Part`: looks before the command begins and after every process is gone.

    `say` tells the operator. INVARIANT: looks in a thread, so that a large workspace holds up
    neither the heartbeat nor what the kernel asks.
    """

    def __init__(
        self,
        folder: Path,
        mark: str,
        link: Teller,
        say: Callable[[str], None],
        builtins: Builtins | None = None,
    ) -> None:
        """Begin to look at once; `mark` ends the names of what is set aside."""
        self._folder = folder
        self._mark = mark
        self._link = link
        self._say = say
        self._builtins = builtins
        self._began_us = time.time_ns() // 1000
        self._transcript = Transcript()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="witness")
        self._before = self._thread.submit(self._look)

    def seen(self, data: bytes) -> None:
        """Something was printed."""
        self._transcript.see(data)

    def begin(self) -> None:
        """Be done looking: after this the workspace is the agent's. Raises OSError."""
        self._before.result()

    async def finish(self) -> None:
        """Tell the plane and the operator what has become of the workspace."""
        if len(self._transcript):
            body = self._transcript.body()
            self._link.tell(Evidence(kind="transcript", body=body, time_us=self._began_us))
        said = b"" if self._builtins is None else self._builtins.told()
        if said:
            self._link.tell(Evidence(kind="builtins", body=said, time_us=self._began_us))
        try:
            loop = asyncio.get_running_loop()
            summary, aside = await loop.run_in_executor(self._thread, self._compare)
        except OSError as error:
            self._say(f"the workspace cannot be looked at any more: {error.strerror or error}")
            return
        finally:
            self._thread.shutdown(wait=False)
        for each in aside:
            self._link.tell(
                LateCodeFound(
                    path=each.path,
                    why=each.why,
                    moved_to=each.moved_to,
                    is_restored=each.is_restored,
                )
            )
        self._link.tell(Changed(summary=msgspec.json.encode(summary)))
        self._tell_operator(summary, aside)

    def _look(self) -> tuple[workspace.Snapshot, late_code.Before]:
        before = workspace.look(self._folder)
        return before, late_code.keep(self._folder, before)

    def _compare(self) -> tuple[workspace.Summary, list[late_code.SetAside]]:
        before, kept = self._before.result()
        after = workspace.look(self._folder, known=before)
        summary = workspace.compare(self._folder, before, after)
        found = late_code.find(self._folder, before, after, kept)
        return summary, late_code.set_aside(self._folder, found, kept, self._mark)

    def _tell_operator(self, summary: workspace.Summary, aside: list[late_code.SetAside]) -> None:
        for each in aside[:_SHOWN_MOST]:
            where = f"moved to {each.moved_to}" if each.moved_to else "COULD NOT BE MOVED"
            self._say(f"the run left {each.path}, and {each.why}: {where}")
        if len(aside) > _SHOWN_MOST:
            self._say(f"and {len(aside) - _SHOWN_MOST} more; `ringfence audit query` shows them")
        if summary.is_partial:
            self._say("not all of the workspace was looked at: too large, or locked")
