"""One worker's place in its group: whoever fills it, how often it failed, and when it is tried."""

from dataclasses import dataclass
from typing import Final

from ringfence.api.context import WorkerStatus
from ringfence.app.remote_worker import RemoteWorker
from ringfence.stores.ledger.charged import Totals

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 30.0
STEADY_S: Final = 60.0
"""Who has served for so long has not failed at the start: the next failure counts as the first."""
SILENT_US: Final = 2_000_000
"""A worker is unheard of after so long: eight pulses."""
GIVEN_UP_US: Final = 30_000_000
"""A worker that is silent for so long is killed and replaced: whoever waits there waits in vain."""


@dataclass(slots=True)
class Slot:
    """The place number `number`, and the log that its workers write, one life after the other."""

    number: int
    log: str = ""
    worker: RemoteWorker | None = None
    charged: Totals | None = None
    """What the log had charged when the present worker's life began; None before the first."""
    failures: int = 0
    """How often in a row a worker has ended here without having served for long."""
    since_us: int = 0
    """When the present worker began to serve, or the last one ended; monotonic."""
    waits_until_us: int = 0
    """When the next worker is started; monotonic."""

    def ended(self, now_us: int, *, in_order: bool) -> float:
        """The worker has gone: note it, and say how many seconds to wait before the next."""
        worker, self.worker = self.worker, None
        served_us = now_us - self.since_us if worker is not None and worker.is_serving else 0
        if in_order or served_us >= STEADY_S * 1e6:
            self.failures = 0
        self.failures += not in_order
        pause_s = 0.0 if in_order else pause_after(self.failures)
        self.since_us = now_us
        self.waits_until_us = now_us + int(pause_s * 1e6)
        return pause_s

    def trouble(self, now_us: int) -> str:
        """Why this place does no work, in words that name no organisation; empty if it does."""
        worker = self.worker
        if worker is None or not worker.is_serving:
            if self.failures > 1:
                left_s = max(0, self.waits_until_us - now_us) / 1e6
                times = f"worker {self.number} has ended {self.failures} times in a row"
                return f"{times} and is tried again in {left_s:.0f} s"
            return f"worker {self.number} is being started"
        silent_us = now_us - worker.heard_us
        if silent_us > SILENT_US:
            return f"worker {self.number} has not been heard of for {silent_us // 1_000_000} s"
        if worker.pulse is not None and worker.pulse.trouble:
            return f"worker {self.number}: {worker.pulse.trouble}"
        return ""

    def is_given_up(self, now_us: int) -> bool:
        """Whether its worker has been silent for too long."""
        return self.worker is not None and now_us - self.worker.heard_us > GIVEN_UP_US

    def status(self, now_us: int) -> WorkerStatus:
        """How it is, as far as its worker has told."""
        worker = self.worker
        pulse = worker.pulse if worker is not None else None
        return WorkerStatus(
            pid=worker.pid if worker is not None else 0,
            epoch=pulse.epoch if pulse is not None else 0,
            open_invocations=pulse.open_invocations if pulse is not None else 0,
            connections=pulse.connections if pulse is not None else 0,
            memory_bytes=pulse.memory_bytes if pulse is not None else 0,
            cpu_us=pulse.cpu_us if pulse is not None else 0,
            messages=worker.messages if worker is not None else 0,
            inquiries=pulse.inquiries if pulse is not None else 0,
            trouble=self.trouble(now_us),
        )


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row: twice as long each time, up to a bound."""
    if failures < 1:
        return 0.0
    return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 16)))
