"""`ringfence` for a soak: retention counts days of some seconds, and looks for what is over often.

Nothing else is changed. `RINGFENCE_BENCH_DAY_S` is the length of such a day.
"""

import os

from ringfence.app import retention
from ringfence.cli import main

_PASSES_A_DAY = 2

if __name__ == "__main__":
    day_s = float(os.environ.pop("RINGFENCE_BENCH_DAY_S"))
    retention._DAY_US = int(day_s * 1_000_000)  # type: ignore[misc] # noqa: SLF001 (a soak has no days)
    retention._EVERY_S = day_s / _PASSES_A_DAY  # type: ignore[misc] # noqa: SLF001 (likewise)
    main()
