"""What sharing costs: CPU per call of several workers against one, and questions per call.

All processes of a plane, supervisor included, run on one core, so that the CPU of one is compared
with the CPU of the same work shared out. Invocations are of thirty calls each. Run
`python -m bench.guarantees.workers [--seconds S] [--rounds N] [--workers 1 2 4]`.
"""

import argparse
import shutil
import statistics
import time
from pathlib import Path
from typing import Final

from bench.model_gateway.load import RUNS, press
from bench.model_gateway.ringfence import Ringfence
from bench.model_gateway.run import LOAD_CORE
from bench.model_gateway.scenario import Scenario, body_of
from bench.model_gateway.subject import Place, free_port
from bench.soak import upstream

_RUN: Final = Path(__file__).parents[2] / ".bench/workers"
_CORE: Final = 1
_WARM_S: Final = 3


def measure(workers: int, seconds: int) -> tuple[float, float, float]:
    """CPU microseconds per call, questions per call, megabytes of all processes."""
    shutil.rmtree(_RUN, ignore_errors=True)
    _RUN.mkdir(parents=True)
    port = free_port()
    plane = Ringfence(is_unique=True, workers=workers)
    scenario = Scenario()
    with upstream(port):
        running = plane.start(Place(tools=_RUN, run=_RUN, core=_CORE, upstream_port=port))
        process = running.process
        if process is None:
            raise SystemExit("Ringfence did not start")

        def load(length: int) -> int:
            figures = press(
                running.target,
                scenario,
                body_of(scenario),
                seconds=length,
                core=LOAD_CORE,
                folder=_RUN,
                unique=RUNS,
            )
            if figures.errors:
                raise SystemExit(f"{figures.errors} calls failed")
            return figures.requests

        try:
            load(_WARM_S)
            time.sleep(1)
            cpu_s, asked = process.weigh().cpu_s, plane.inquiries()
            calls = load(seconds)
            time.sleep(1)
            weight = process.weigh()
            questions = plane.inquiries() - asked
        finally:
            process.stop()
    return (weight.cpu_s - cpu_s) / calls * 1e6, questions / calls, weight.rss_mb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    given = parser.parse_args()
    first = 0.0
    print(f"invocations of {RUNS.steps} calls; medians of {given.rounds} rounds")
    print(
        f"{'workers':>7} {'CPU us/call':>11} {'against one':>11} {'questions/call':>14} {'MB':>6}"
    )
    for workers in given.workers:
        rounds = [measure(workers, given.seconds) for _ in range(given.rounds)]
        cpu_us, questions, rss_mb = (statistics.median(each) for each in zip(*rounds, strict=True))
        first = first or cpu_us
        print(
            f"{workers:7} {cpu_us:11.0f} {cpu_us / first:11.2f} {questions:14.3f} {rss_mb:6.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
